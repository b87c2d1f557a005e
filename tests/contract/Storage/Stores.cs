using IotHub.Core.Storage;
using IotHub.Core.Storage.Memory;
using IotHub.Core.Storage.Tables;
using IotHub.Harness;

namespace IotHub.Contract.Storage;

/// <summary>The three gateways over one storage.</summary>
public sealed record Stores(IRegistry Registry, IApiKeys Keys, IChangeFeed Changes)
{
    public ITwins Twins { get; init; } = new MemoryTwins();
    public IMetrics Metrics { get; init; } = new MemoryMetrics();
    public IEventLog Events { get; init; } = new MemoryEventLog();
    public ICreations Creations { get; init; } = new MemoryCreations();
    public Belongings Belongings => new(Registry, Twins, Metrics, Events, TimeProvider.System);

    public static Stores InMemory(TimeProvider time)
    {
        var changes = new MemoryChangeFeed(time);
        return new Stores(new MemoryRegistry(changes, time), new MemoryApiKeys(), changes);
    }

    public static async Task<StorageAccount> NewAccount()
    {
        var account = StorageAccount.At((await AzuriteServer.Shared()).NewAccount());
        await account.EnsureCreated();
        return account;
    }

    public static Stores InTables(StorageAccount account, TimeProvider time, long indexBytes = TableRegistry.DefaultIndexBytes)
    {
        var changes = new TableChangeFeed(account.Tables(), time);
        return new Stores(new TableRegistry(account.Tables(), changes, time, indexBytes), new TableApiKeys(account.Tables()), changes)
        {
            Twins = new TableTwins(account.Tables()),
            Metrics = new TableMetrics(account.Tables()),
            Events = new TableEventLog(account.Tables()),
            Creations = new TableCreations(account.Tables()),
        };
    }
}

/// <summary>A clock that starts now and moves only when it is shifted.</summary>
public sealed class ShiftedTime : TimeProvider
{
    private readonly DateTimeOffset _start = DateTimeOffset.UtcNow;

    public TimeSpan Shift { get; set; }

    public override DateTimeOffset GetUtcNow() => _start + Shift;
}

internal static class Sequences
{
    public static async Task<List<T>> ToList<T>(this IAsyncEnumerable<T> items)
    {
        var list = new List<T>();
        await foreach (var item in items)
        {
            list.Add(item);
        }
        return list;
    }
}
