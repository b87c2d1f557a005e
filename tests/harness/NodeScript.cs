using System.Text.Json;
using System.Threading.Channels;

namespace IotHub.Harness;

/// <summary>
/// A Node.js script that uses clients of other hands (see <c>node/clients.mjs</c>). It is told things as lines of JSON on standard
/// input and tells things as lines of JSON on standard output; both are objects with a member <c>is</c> that names them.
/// </summary>
public sealed class NodeScript : IAsyncDisposable
{
    private static readonly TimeSpan EndDeadline = TimeSpan.FromSeconds(60);
    private readonly ChildProcess _process;
    private readonly Channel<JsonElement> _told;

    private NodeScript(ChildProcess process, Channel<JsonElement> told)
    {
        _process = process;
        _told = told;
    }

    /// <summary>Everything the script wrote, for a failure's message.</summary>
    public string Output => _process.Output;

    /// <param name="script">Path of the script from the checkout's top.</param>
    /// <param name="argument">Given to the script as JSON, in its first argument.</param>
    public static async Task<NodeScript> Start(string script, object argument)
    {
        await NodeModules.Install(RepositoryRoot.Combine("tests", "harness", "node"));
        var told = Channel.CreateUnbounded<JsonElement>();
        var process = ChildProcess.Start(
            "node",
            [RepositoryRoot.Combine(script.Split('/')), JsonSerializer.Serialize(argument)],
            onLine: line =>
            {
                if (line.StartsWith('{'))
                {
                    told.Writer.TryWrite(JsonDocument.Parse(line).RootElement);
                }
            },
            keepInputOpen: true);
        return new NodeScript(process, told);
    }

    /// <summary>Runs a script to its end and gives the one object it told, its last. Fails when the script does.</summary>
    public static async Task<JsonElement> Run(string script, object argument)
    {
        await using var running = await Start(script, argument);
        if (await running._process.WaitForExit(EndDeadline) != 0)
        {
            throw new InvalidOperationException($"{script} ended with {running._process.ExitCode}:\n{running.Output}");
        }
        JsonElement? last = null;
        while (running._told.Reader.TryRead(out var told))
        {
            last = told;
        }
        return last ?? throw new InvalidOperationException($"{script} told nothing:\n{running.Output}");
    }

    public Task Tell(object what) => _process.Send(JsonSerializer.Serialize(what));

    /// <summary>The next thing the script tells.</summary>
    public async Task<JsonElement> Next(TimeSpan? deadline = null)
    {
        using var cancel = new CancellationTokenSource(deadline ?? Eventually.DefaultDeadline);
        try
        {
            return await _told.Reader.ReadAsync(cancel.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"the script told nothing more; so far:\n{Output}");
        }
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();
}
