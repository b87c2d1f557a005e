namespace IotHub.Broker.Sessions;

/// <summary>
/// The thread that writes one lane's commits: it sleeps while nothing is recorded, writes at once when something is, and takes all that
/// has come meanwhile with the next write. There is no wait for more: the write before is the wait.
/// </summary>
internal sealed partial class LaneCommitter(Lane lane, ILogger logger) : IDisposable
{
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _wake = new(0, 1);
    private readonly ManualResetEventSlim _stop = new();
    private Thread? _thread;
    private Task _preparing = Task.CompletedTask;

    public void Start()
    {
        _thread = new Thread(Run) { IsBackground = true, Name = $"log {lane.Index}" };
        _thread.Start();
    }

    /// <summary>Something was recorded.</summary>
    public void Wake()
    {
        if (_wake.CurrentCount == 0)
        {
            try
            {
                _wake.Release();
            }
            catch (SemaphoreFullException)
            {
                // Somebody else was first: it is awake.
            }
        }
    }

    /// <summary>Writes what is left and ends. Gives up on a disk that does not take it.</summary>
    public void Stop()
    {
        _stop.Set();
        Wake();
        _thread?.Join();
        _preparing.Wait();
    }

    public void Dispose()
    {
        Stop();
        _wake.Dispose();
        _stop.Dispose();
    }

    private void Run()
    {
        var needsMark = false;
        while (true)
        {
            var isAwake = _wake.Wait(needsMark ? IdleTime : Timeout.InfiniteTimeSpan);
            if (CommitAll(onlyIfWanted: !_stop.IsSet))
            {
                needsMark = true;
            }
            if (_stop.IsSet)
            {
                MarkIdle();
                return;
            }
            if (!isAwake && needsMark)
            {
                needsMark = !MarkIdle();
            }
        }
    }

    /// <returns>Was anything written?</returns>
    private bool CommitAll(bool onlyIfWanted)
    {
        var wrote = false;
        var pause = FirstPause;
        while (lane.BeginCommit(onlyIfWanted))
        {
            try
            {
                lane.Journal!.Log.WriteCommit();
                lane.EndCommit();
                wrote = true;
                DeleteUnneeded();
                PrepareNext();
                if (pause != FirstPause)
                {
                    Log.Works(logger, lane.Index);
                    pause = FirstPause;
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                if (pause == FirstPause)
                {
                    Log.Fails(logger, lane.Index, e.Message);
                }
                lane.FailCommit();
                if (_stop.Wait(pause))
                {
                    return wrote;
                }
                pause = TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, LongestPause.Ticks));
            }
        }
        return wrote;
    }

    private bool MarkIdle()
    {
        if (!lane.BeginMark())
        {
            return true;
        }
        try
        {
            lane.Journal!.Log.WriteCommit();
            lane.EndCommit();
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Nobody waits for it; the next commit will tell.
            lane.FailCommit();
            Log.NoMark(logger, lane.Index, e.Message);
            return false;
        }
    }

    /// <summary>Zeros for the next segment, beside the commits.</summary>
    private void PrepareNext()
    {
        var log = lane.Journal!.Log;
        if (!_preparing.IsCompleted || !log.TakePreparing())
        {
            return;
        }
        _preparing = Task.Run(() =>
        {
            try
            {
                log.Prepare();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Log.NotPrepared(logger, lane.Index, e.Message);
            }
        });
    }

    private void DeleteUnneeded()
    {
        while (lane.TakeDeletable() is { } segment)
        {
            try
            {
                lane.Journal!.Log.Delete(segment);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Log.NotDeleted(logger, segment.First, lane.Index, e.Message);
            }
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Error,
            "Shard {Shard}: the log cannot be written, nothing that must be kept is accepted until it can: {Reason}")]
        public static partial void Fails(ILogger logger, int shard, string reason);

        [LoggerMessage(2, LogLevel.Warning, "Shard {Shard}: the log can be written again")]
        public static partial void Works(ILogger logger, int shard);

        [LoggerMessage(3, LogLevel.Warning, "Shard {Shard}: no mark was written behind the last records: {Reason}")]
        public static partial void NoMark(ILogger logger, int shard, string reason);

        [LoggerMessage(4, LogLevel.Warning, "Segment {First} of shard {Shard} is not needed any more and cannot be deleted: {Reason}")]
        public static partial void NotDeleted(ILogger logger, long first, int shard, string reason);

        [LoggerMessage(5, LogLevel.Information, "Shard {Shard}: the file for its next segment was not laid out in advance: {Reason}")]
        public static partial void NotPrepared(ILogger logger, int shard, string reason);
    }
}
