using IotHub.Core.Storage;

namespace IotHub.Functions.Hosting;

/// <summary>Whether the tables, queues and containers are there.</summary>
public interface IStorageState
{
    bool IsReady { get; }
}

/// <summary>Storage that needs no setting up.</summary>
public sealed class StorageAlwaysReady : IStorageState
{
    public bool IsReady => true;
}

/// <summary>
/// Creates what is missing in the storage account, beside the server and not before it: the host waits for the server. Storage that does
/// not answer yet is asked again until it does; requests get their 503 meanwhile.
/// </summary>
public sealed partial class StorageSetup(StorageAccount account, TimeProvider clock, ILogger<StorageSetup> logger)
    : BackgroundService, IStorageState
{
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);
    private volatile bool _ready;

    public bool IsReady => _ready;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        for (var pause = TimeSpan.FromMilliseconds(250); !_ready; pause = pause * 2 < LongestPause ? pause * 2 : LongestPause)
        {
            try
            {
                await account.EnsureCreated(stoppingToken);
                _ready = true;
            }
            catch (RegistryUnavailableException e)
            {
                Log.NotYet(logger, StorageFailure.Reason(e)!);
                await Task.Delay(pause, clock, stoppingToken);
            }
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "the storage account cannot be set up yet, trying again: {Reason}")]
        public static partial void NotYet(ILogger logger, string reason);
    }
}
