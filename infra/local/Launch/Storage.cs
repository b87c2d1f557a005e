using System.Globalization;
using IotHub.Local.Processes;

namespace IotHub.Local.Launch;

/// <summary>Azure Storage on this machine: Azurite with its well-known development account.</summary>
public static class Storage
{
    // Public knowledge: the development account of every Azure Storage emulator.
    private const string Account = "devstoreaccount1";
    private const string Key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    private static readonly TimeSpan ReadyPatience = TimeSpan.FromSeconds(60);

    public static string ConnectionString(Ports ports) => string.Create(
        CultureInfo.InvariantCulture,
        $"DefaultEndpointsProtocol=http;AccountName={Account};AccountKey={Key};" +
        $"BlobEndpoint=http://127.0.0.1:{ports.Blobs}/{Account};" +
        $"QueueEndpoint=http://127.0.0.1:{ports.Queues}/{Account};" +
        $"TableEndpoint=http://127.0.0.1:{ports.Tables}/{Account};");

    public static Child Start(string node, string packages, DataFolder data, Ports ports, OrphanGuard guard)
    {
        string[] arguments =
        [
            Path.Combine(packages, "node_modules", "azurite", "dist", "src", "azurite.js"),
            "--skipApiVersionCheck", "--disableTelemetry", "--silent", "--loose", "--location", data.Storage,
            "--blobHost", "127.0.0.1", "--blobPort", Text(ports.Blobs),
            "--queueHost", "127.0.0.1", "--queuePort", Text(ports.Queues),
            "--tableHost", "127.0.0.1", "--tablePort", Text(ports.Tables),
        ];
        var log = new CappedLog(Path.Combine(data.Logs, "azurite.log"));
        return Child.Start("Azurite", node, arguments, data.Storage, new Dictionary<string, string>(), log, guard);
    }

    /// <summary>Ready when all three services answer HTTP.</summary>
    public static async Task UntilReady(Child azurite, Ports ports, HttpClient http, CancellationToken cancel)
    {
        foreach (var port in (int[])[ports.Blobs, ports.Queues, ports.Tables])
        {
            var address = new Uri($"http://127.0.0.1:{Text(port)}/");
            await Readiness.Until(azurite, ReadyPatience, () => Readiness.Answers(http, address, anyStatus: true, cancel), cancel);
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
