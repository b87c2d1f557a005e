using IotHub.Core.Domain;

namespace IotHub.Functions.Api;

/// <summary>One call of the management API, as it is mapped and described.</summary>
internal sealed class ApiOperation(string method, string path, ApiRole role, Type answer)
{
    private readonly Dictionary<string, IReadOnlyList<string>> _choices = [];

    public string Method => method;
    public string Path => path;

    /// <summary>The least role that may call it.</summary>
    public ApiRole Role => role;

    public Type Answer => answer;

    /// <summary>Content types of a body, or an answer, that is no JSON object.</summary>
    public IReadOnlyList<string> TextBody { get; private set; } = [];

    /// <inheritdoc cref="TextBody"/>
    public IReadOnlyList<string> TextAnswer { get; private set; } = [];

    public IReadOnlyDictionary<string, IReadOnlyList<string>> Choices => _choices;
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

    /// <summary>May be repeated under an Idempotency-Key.</summary>
    public bool IsRepeatable { get; private set; }

    public ApiOperation Repeats()
    {
        IsRepeatable = true;
        return this;
    }

    /// <summary>What is worth knowing beside its parameters; may be empty.</summary>
    public string Description { get; private set; } = "";

    public ApiOperation Says(string description)
    {
        Description = description;
        return this;
    }

    public ApiOperation Extends()
    {
        IsExtension = true;
        return this;
    }

    public ApiOperation AsksMore(params string[] query)
    {
        ExtraQuery = [.. ExtraQuery, .. query];
        return this;
    }

    /// <summary>A parameter of its query that takes the values of an enum, but for the first.</summary>
    public ApiOperation Chooses<T>(string name)
        where T : struct, Enum
    {
        _choices[name] = [.. Enum.GetValues<T>().Skip(1).Select(ApiJson.Text)];
        return AsksMore(name);
    }

    /// <summary>Reads text of these types.</summary>
    public ApiOperation Reads(params string[] contentTypes)
    {
        TextBody = contentTypes;
        return this;
    }

    /// <summary>Writes text of one of these types.</summary>
    public ApiOperation Streams(params string[] contentTypes)
    {
        TextAnswer = contentTypes;
        return this;
    }
}
