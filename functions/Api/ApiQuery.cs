using System.Globalization;
using Microsoft.Extensions.Primitives;

namespace IotHub.Functions.Api;

/// <summary>Query parameters. An empty one counts as absent, as clients send both.</summary>
internal sealed class ApiQuery(IQueryCollection query, Checks checks)
{
    public const int DefaultPageSize = 20;
    public const int MaximumPageSize = 100;

    public string? Text(string name) => query.TryGetValue(name, out var value) && !StringValues.IsNullOrEmpty(value) ? value[^1] : null;

    /// <summary>All values of a parameter that may stand there several times.</summary>
    public IReadOnlyList<string> Texts(string name) => [.. query[name].OfType<string>().Where(value => value.Length > 0)];

    public Guid? Id(string name) => checks.OptionalId(name, Text(name));

    /// <summary>Any casing: one client sends <c>True</c>.</summary>
    public bool? Flag(string name)
    {
        if (Text(name) is not { } text)
        {
            return null;
        }
        if (bool.TryParse(text, out var value))
        {
            return value;
        }
        checks.Wrong(name, "format", "must be true or false");
        return null;
    }

    /// <summary>RFC 3339, with whatever fraction and offset.</summary>
    public DateTimeOffset? Date(string name)
    {
        if (Text(name) is not { } text)
        {
            return null;
        }
        // A + that was not encoded arrives as a space.
        var fixedText = text.Replace(' ', '+');
        if (text.Length >= "2025-01-01T00:00:00Z".Length
            && DateTimeOffset.TryParse(fixedText, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind, out var date)
            && text[4] == '-' && text[10] is 'T' or 't')
        {
            return date;
        }
        checks.Wrong(name, "format", "must be an RFC 3339 date such as 2025-01-01T00:00:00Z");
        return null;
    }

    /// <summary>Null for the sentinel (the enum's first value), which clients send for "not specified".</summary>
    public T? Choice<T>(string name)
        where T : struct, Enum
    {
        if (Text(name) is not { } text)
        {
            return null;
        }
        if (ApiJson.TryParse<T>(text, out var value))
        {
            return EqualityComparer<T>.Default.Equals(value, default) ? null : value;
        }
        checks.Wrong(name, "constraint", $"must be one of {string.Join(", ", Enum.GetValues<T>().Select(ApiJson.Text))}");
        return null;
    }

    public Paging<T> Paging<T>(SortOrders<T> orders, string preset = SortOrders<T>.Default)
    {
        var order = Text("order_by") ?? preset;
        if (!orders.TryGet(order, out var compare))
        {
            checks.Wrong("order_by", "constraint", $"must be one of {string.Join(", ", orders.Names)}");
        }
        return new Paging<T>(order, compare, Number("page", 1, int.MaxValue, 1), PageSize());
    }

    public int PageSize() => Number("page_size", 1, MaximumPageSize, DefaultPageSize);

    private int Number(string name, int minimum, int maximum, int otherwise)
    {
        if (Text(name) is not { } text)
        {
            return otherwise;
        }
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= minimum && number <= maximum)
        {
            return number;
        }
        checks.Wrong(name, "constraint", maximum == int.MaxValue ? $"must be at least {minimum}" : $"must be from {minimum} to {maximum}");
        return otherwise;
    }
}

/// <summary>The orders a list knows: each key makes <c>key_asc</c> and <c>key_desc</c>. Ids break ties, so that pages never overlap.</summary>
internal sealed class SortOrders<T>(Func<T, Guid> id, params (string Name, Comparison<T> Compare)[] keys)
{
    public const string Default = "name_asc";

    public IEnumerable<string> Names => keys.SelectMany(key => new[] { key.Name + "_asc", key.Name + "_desc" });

    public bool TryGet(string order, out Comparison<T> compare)
    {
        foreach (var (name, ascending) in keys)
        {
            if (order == name + "_asc" || order == name + "_desc")
            {
                var sign = order.EndsWith("_asc", StringComparison.Ordinal) ? 1 : -1;
                compare = (one, other) =>
                    ascending(one, other) is var result && result != 0 ? sign * result : id(one).CompareTo(id(other));
                return true;
            }
        }
        compare = (_, _) => 0;
        return false;
    }
}

/// <summary>Which part of a list is wanted, in which order.</summary>
internal sealed record Paging<T>(string Order, Comparison<T> Compare, int Page, int PageSize)
{
    public bool IsDescending => Order.EndsWith("_desc", StringComparison.Ordinal);

    /// <summary>The order's name without its direction.</summary>
    public string Key => Order[..Order.LastIndexOf('_')];

    /// <summary>What comes before the page.</summary>
    public long Skip => (Page - 1L) * PageSize;

    /// <summary>Sorts the list and cuts the page out; past the end it is empty.</summary>
    public List<T> Cut(List<T> all)
    {
        all.Sort(Compare);
        return Skip >= all.Count ? [] : all.GetRange((int)Skip, Math.Min(PageSize, all.Count - (int)Skip));
    }
}
