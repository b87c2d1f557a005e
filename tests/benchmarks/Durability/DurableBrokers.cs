using System.Globalization;
using System.Net;
using IotHub.Benchmarks.Compare;
using IotHub.Benchmarks.Load;
using IotHub.Harness;

namespace IotHub.Benchmarks.Durability;

/// <summary>Starts the brokers that are compared, each with a folder of its own on the disk that is measured.</summary>
internal sealed class DurableBrokers(TempFolder files, string parent, bool withMosquitto) : IDisposable
{
    private const double FlushSeconds = 0.2;
    private readonly List<string> _folders = [];

    public bool HasMosquitto { get; } = withMosquitto && BrokerUnderLoad.MosquittoProgram is not null;

    public static double Median(IEnumerable<double> figures)
    {
        var sorted = figures.Order().ToList();
        return sorted.Count == 0 ? double.NaN : (sorted[(sorted.Count - 1) / 2] + sorted[sorted.Count / 2]) / 2;
    }

    public static string Number(double value) => value switch
    {
        0 => "0",
        double.NaN => "–",
        >= 100 => value.ToString("#,0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.0", CultureInfo.InvariantCulture),
        _ => value.ToString("0.00#", CultureInfo.InvariantCulture),
    };

    public static LoadOptions For(BrokerUnderLoad broker, LoadOptions options) => broker.HasEnded
        ? throw new InvalidOperationException($"{broker.Name} has ended by itself:\n{broker.Output}")
        : options with { Broker = new IPEndPoint(IPAddress.Loopback, broker.Port), Pid = broker.Pid };

    public static LoadResult Measure(BrokerUnderLoad broker, LoadOptions options)
    {
        var result = LoadRun.Execute(For(broker, options));
        Console.Error.WriteLine($"{broker.Name} {result.ToJson()}");
        return result;
    }

    public void Dispose() => _folders.ForEach(folder => Directory.Delete(folder, recursive: true));

    /// <summary>What the disk takes at this moment for one write and its flush.</summary>
    public DiskFlush Flush() => DiskFlush.Measure(Path.Combine(parent, $"durable-{Environment.ProcessId}-flush"), FlushSeconds);

    public StoreUnderLoad Ours() => StoreUnderLoad.Ours(NewFolder());

    public StoreUnderLoad Mosquitto() => StoreUnderLoad.Mosquitto(NewFolder());

    public StoreUnderLoad Saving() => StoreUnderLoad.Saving(NewFolder());

    /// <summary>Starts, or starts again, with what is in its folder.</summary>
    public Task<BrokerUnderLoad> Start(StoreUnderLoad store) => store.Name is StoreUnderLoad.OursName or StoreUnderLoad.MemoryName
        ? BrokerUnderLoad.StartOurs(files, store: store)
        : BrokerUnderLoad.StartMosquitto(files, null, store);

    /// <summary>Runs something with several brokers that are there all the time.</summary>
    public async Task WithAll(IEnumerable<StoreUnderLoad> stores, Func<List<BrokerUnderLoad>, Task> run)
    {
        var brokers = new List<BrokerUnderLoad>();
        try
        {
            foreach (var store in stores)
            {
                brokers.Add(await Start(store));
            }
            await run(brokers);
        }
        finally
        {
            foreach (var broker in brokers)
            {
                await broker.DisposeAsync();
            }
        }
    }

    private string NewFolder()
    {
        var folder = Directory.CreateDirectory(Path.Combine(parent, $"durable-{Environment.ProcessId}-{_folders.Count}")).FullName;
        _folders.Add(folder);
        return folder;
    }
}
