using IotHub.Broker.Durability;

namespace IotHub.Harness;

/// <summary>Rows of the allocation table about the log: bytes per record that is appended and committed to a real file.</summary>
public static class LogAllocations
{
    private const int WarmUp = 500;
    private const int Rounds = 500;

    public static double AppendAndCommit(int batch)
    {
        using var folder = new TempFolder("allocations");
        using var store = BrokerStore.Open(folder.Path, 1);
        // One segment for all: a new one now and then costs a file.
        using var log = ShardLog.Open(store.FilesOf(0), new LogOptions { SegmentBytes = 1L << 30 }, (_, _, _) => { });
        for (var i = 0; i < WarmUp; i++)
        {
            Commit(log, batch);
        }
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < Rounds; i++)
        {
            Commit(log, batch);
        }
        return (double)(GC.GetAllocatedBytesForCurrentThread() - before) / Rounds / batch;
    }

    private static void Commit(ShardLog log, int batch)
    {
        for (var i = 0; i < batch; i++)
        {
            var position = log.Begin(1);
            log.Take(256).Fill(1);
            log.End();
            log.AddReference(position);
        }
        log.BeginCommit(new LogClock(1, 2));
        log.WriteCommit();
        log.EndCommit();
    }
}
