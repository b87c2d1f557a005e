using System.Text.Json.Nodes;

namespace IotHub.Functions.Hosting;

/// <summary>
/// A function as the Azure Functions host sees it: a folder with a function.json. Bindings are triggers only; what a function writes, it
/// writes through storage clients, so none of the host's guesses about output values apply.
/// </summary>
public abstract record FunctionDefinition(string Name)
{
    public JsonObject FunctionJson() => new() { ["bindings"] = new JsonArray([.. Bindings()]) };

    private protected abstract IEnumerable<JsonNode> Bindings();
}

/// <summary>
/// Exactly one httpTrigger and one http output: only then the host passes requests through unchanged. Keys are not the host's business
/// (anonymous): the management API has its own, networks have theirs.
/// </summary>
/// <param name="Route">An explicit prefix; a bare catch-all would let anyone post to the invocation path of another function.</param>
public sealed record HttpFunction(string Name, string Route, IReadOnlyList<string> Methods) : FunctionDefinition(Name)
{
    private protected override IEnumerable<JsonNode> Bindings() =>
    [
        new JsonObject
        {
            ["type"] = "httpTrigger",
            ["direction"] = "in",
            ["name"] = "req",
            ["authLevel"] = "anonymous",
            ["methods"] = new JsonArray([.. Methods.Select(method => (JsonNode)method)]),
            ["route"] = Route,
        },
        new JsonObject { ["type"] = "http", ["direction"] = "out", ["name"] = "res" },
    ];
}

/// <param name="Run">Takes the bytes of one queue message; a throw makes the host try again, up to its dequeue limit.</param>
public sealed record QueueFunction(
    string Name, string Queue, Func<IServiceProvider, ReadOnlyMemory<byte>, CancellationToken, Task> Run) : FunctionDefinition(Name)
{
    public const string BindingName = "message";

    private protected override IEnumerable<JsonNode> Bindings() =>
    [
        new JsonObject
        {
            ["type"] = "queueTrigger",
            ["direction"] = "in",
            ["name"] = BindingName,
            ["queueName"] = Queue,
            ["connection"] = "AzureWebJobsStorage",
            // As bytes: the text form is encoded twice and lets the message's own properties into the metadata.
            ["dataType"] = "binary",
        },
    ];
}

/// <param name="Schedule">Six fields: second, minute, hour, day, month, weekday; UTC.</param>
public sealed record TimerFunction(string Name, string Schedule, Func<IServiceProvider, CancellationToken, Task> Run)
    : FunctionDefinition(Name)
{
    private protected override IEnumerable<JsonNode> Bindings() =>
    [
        new JsonObject
        {
            ["type"] = "timerTrigger",
            ["direction"] = "in",
            ["name"] = "timer",
            ["schedule"] = Schedule,
            ["runOnStartup"] = false,
            ["useMonitor"] = true,
        },
    ];
}
