using System.Collections.Concurrent;
using System.Text;

namespace IotHub.Harness;

/// <summary>
/// Azure Storage as Azurite speaks it, on free ports with a temporary folder. One is shared by all tests of a process;
/// each test takes an account of its own from it, so that tables, queues and containers of two tests never meet.
/// </summary>
public sealed class AzuriteServer : IAsyncDisposable
{
    /// <summary>They stand in one environment variable, which has 128 KB at most.</summary>
    private const int AccountCount = 2000;
    private const int Attempts = 5;
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(60);
    private static readonly Lazy<Task<AzuriteServer>> ForThisProcess = new(Start);

    private readonly ChildProcess _process;
    private readonly TempFolder _folder;
    private readonly int[] _ports;
    private readonly ConcurrentQueue<string> _accounts;

    private AzuriteServer(ChildProcess process, TempFolder folder, int[] ports, IEnumerable<string> accounts)
    {
        _process = process;
        _folder = folder;
        _ports = ports;
        _accounts = new ConcurrentQueue<string>(accounts);
    }

    public int Pid => _process.Pid;

    /// <summary>The one server of this test process; it ends with the process.</summary>
    public static Task<AzuriteServer> Shared() => ForThisProcess.Value;

    /// <summary>A server of one's own, for tests that stop it.</summary>
    public static async Task<AzuriteServer> Start()
    {
        var packages = RepositoryRoot.Combine("infra", "local", "azurite");
        await NodeModules.Install(packages);
        var program = Path.Combine(packages, "node_modules", "azurite", "dist", "src", "azurite.js");
        for (var attempt = 1; ; attempt++)
        {
            var server = Launch(program);
            try
            {
                await server.UntilReady();
                return server;
            }
            catch (InvalidOperationException) when (attempt < Attempts)
            {
                // Someone else took one of the ports in between.
                await server.DisposeAsync();
            }
        }
    }

    /// <summary>Connection string of an empty storage account that no other test has.</summary>
    public string NewAccount() => _accounts.TryDequeue(out var name)
        ? ConnectionString(name)
        : throw new InvalidOperationException($"all {AccountCount} accounts of this Azurite are taken");

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        _folder.Dispose();
    }

    private static AzuriteServer Launch(string program)
    {
        var folder = new TempFolder("azurite");
        var ports = FreePorts.Take(3);
        var accounts = Enumerable.Range(0, AccountCount).Select(n => $"test{n:D4}").ToList();
        string[] arguments =
        [
            program, "--skipApiVersionCheck", "--disableTelemetry", "--silent", "--loose", "--location", folder.Path,
            "--blobPort", $"{ports[0]}", "--queuePort", $"{ports[1]}", "--tablePort", $"{ports[2]}",
        ];
        var environment = new Dictionary<string, string?>
        {
            ["AZURITE_ACCOUNTS"] = string.Join(';', accounts.Select(name => $"{name}:{Key(name)}")),
        };
        var process = ChildProcess.Start("node", arguments, folder.Path, environment);
        return new AzuriteServer(process, folder, ports, accounts);
    }

    private async Task UntilReady()
    {
        await Eventually.True(
            async () => _process.HasExited || (await Task.WhenAll(_ports.Select(FreePorts.Answers))).All(answers => answers),
            ReadyDeadline,
            () => _process.Output);
        if (_process.HasExited)
        {
            throw new InvalidOperationException($"Azurite ended with {_process.ExitCode}:\n{_process.Output}");
        }
    }

    private string ConnectionString(string account) =>
        $"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={Key(account)};" +
        $"BlobEndpoint=http://127.0.0.1:{_ports[0]}/{account};" +
        $"QueueEndpoint=http://127.0.0.1:{_ports[1]}/{account};" +
        $"TableEndpoint=http://127.0.0.1:{_ports[2]}/{account};";

    private static string Key(string account) => Convert.ToBase64String(Encoding.ASCII.GetBytes($"key of {account}"));
}
