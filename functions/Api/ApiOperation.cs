using IotHub.Core.Domain;

namespace IotHub.Functions.Api;

/// <summary>One call of the management API, as it is mapped and described.</summary>
internal sealed class ApiOperation(string method, string path, ApiRole role, Type answer)
{
    public string Method => method;
    public string Path => path;

    /// <summary>The least role that may call it.</summary>
    public ApiRole Role => role;

    public Type Answer => answer;
    public Type? Body { get; private set; }

    /// <summary>The parameters of its query.</summary>
    public IReadOnlyList<string> Query { get; private set; } = [];

    /// <summary>The values of <c>order_by</c>.</summary>
    public IReadOnlyList<string> Orders { get; private set; } = [];

    /// <summary>Not a call of the original service.</summary>
    public bool IsExtension { get; private set; }

    /// <summary>Parameters of its query that the original service does not have.</summary>
    public IReadOnlyList<string> ExtraQuery { get; private set; } = [];

    /// <summary>Says which body the call reads; reading another one is an error.</summary>
    public ApiOperation Takes<T>()
    {
        Body = typeof(T);
        return this;
    }

    public ApiOperation Asks(params string[] query)
    {
        Query = query;
        return this;
    }

    /// <summary>A list: its page, and the order by one of these.</summary>
    public ApiOperation Lists(IEnumerable<string> orders, params string[] filters)
    {
        Query = ["page", "page_size", "order_by", .. filters];
        Orders = [.. orders];
        return this;
    }

    public ApiOperation Extends()
    {
        IsExtension = true;
        return this;
    }

    public ApiOperation AsksMore(params string[] query)
    {
        ExtraQuery = query;
        return this;
    }
}
