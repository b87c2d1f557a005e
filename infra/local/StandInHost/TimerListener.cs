using Azure;
using Microsoft.Extensions.Logging;

namespace IotHub.Local.StandInHost;

/// <summary>
/// Runs one timer function: at its occurrences, never two at a time, once at the start when an occurrence was missed. What it remembers
/// is a status blob, unless the timer is not monitored or fires more than once a minute.
/// </summary>
public sealed partial class TimerListener : IDisposable
{
    private static readonly TimeSpan SliceMax = TimeSpan.FromDays(1);

    private readonly FunctionDefinition _function;
    private readonly TimerTrigger _trigger;
    private readonly TimerStatusStore? _statuses;
    private readonly InvocationClient _invocations;
    private readonly TimeZoneInfo _zone;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SemaphoreSlim _oneRun = new(1);

    public TimerListener(
        FunctionDefinition function, TimerStatusStore statuses, InvocationClient invocations, TimeZoneInfo zone, TimeProvider time,
        ILoggerFactory loggers)
    {
        _function = function;
        _trigger = (TimerTrigger)function.Trigger;
        _invocations = invocations;
        _zone = zone;
        _time = time;
        _logger = loggers.CreateLogger("Host.Timers");
        _statuses = _trigger.UseMonitor && !_trigger.Schedule.IsFrequent(time.GetUtcNow()) ? statuses : null;
    }

    public async Task Run(CancellationToken stop, CancellationToken abandon)
    {
        try
        {
            if (await IsPastDue(stop))
            {
                Log.PastDue(_logger, _function.Name);
                await RunNow(isPastDue: true, abandon);
            }
            else if (_trigger.RunOnStartup)
            {
                await RunNow(isPastDue: false, abandon);
            }
            while (true)
            {
                await Wait(Next(_time.GetUtcNow()), stop);
                await RunNow(isPastDue: false, abandon);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested || abandon.IsCancellationRequested)
        {
            // Asked to stop.
        }
    }

    /// <summary>One run outside the schedule or at its occurrence; a run that is under way is waited for.</summary>
    public async Task<InvocationResult> RunNow(bool isPastDue, CancellationToken cancel)
    {
        await _oneRun.WaitAsync(cancel);
        try
        {
            var status = _statuses is null ? null : await _statuses.Read(_function.Name, cancel);
            var started = _time.GetUtcNow();
            var payload = InvocationPayload.ForTimer(_function.Name, _trigger, Local(status), isPastDue, started);
            var result = await _invocations.Invoke(_function.Name, payload, cancel);
            if (_statuses is not null)
            {
                await Remember(new TimerStatus(started, Next(started), started), cancel);
            }
            return result;
        }
        finally
        {
            _oneRun.Release();
        }
    }

    public void Dispose() => _oneRun.Dispose();

    private DateTimeOffset Next(DateTimeOffset after) => _trigger.Schedule.Next(after, _zone);

    /// <summary>True when the recorded next occurrence is in the past. A changed schedule is recomputed from the last run first.</summary>
    private async Task<bool> IsPastDue(CancellationToken cancel)
    {
        if (_statuses is null)
        {
            return false;
        }
        var now = _time.GetUtcNow();
        if (await _statuses.Read(_function.Name, cancel) is not { } status)
        {
            await Remember(new TimerStatus(default, Next(now), now), cancel);
            return false;
        }
        var expected = Next(status.HasRun ? status.Last : status.LastUpdated);
        if (expected != status.Next)
        {
            status = status with { Next = expected };
            await Remember(status, cancel);
        }
        return now > status.Next;
    }

    private async Task Remember(TimerStatus status, CancellationToken cancel)
    {
        try
        {
            await _statuses!.Write(_function.Name, status, cancel);
        }
        catch (RequestFailedException e)
        {
            Log.NotRemembered(_logger, _function.Name, e.Message);
        }
    }

    private async Task Wait(DateTimeOffset until, CancellationToken stop)
    {
        for (var left = until - _time.GetUtcNow(); left > TimeSpan.Zero; left = until - _time.GetUtcNow())
        {
            await Task.Delay(left < SliceMax ? left : SliceMax, _time, stop);
        }
    }

    private TimerStatus? Local(TimerStatus? status) => status is null
        ? null
        : new TimerStatus(InZone(status.Last), InZone(status.Next), InZone(status.LastUpdated));

    private DateTimeOffset InZone(DateTimeOffset at) => at == default ? at : TimeZoneInfo.ConvertTime(at, _zone);

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "{Function} missed an occurrence while the host was away: running it now")]
        public static partial void PastDue(ILogger logger, string function);

        [LoggerMessage(LogLevel.Warning, "the status of timer {Function} could not be written: {Reason}")]
        public static partial void NotRemembered(ILogger logger, string function, string reason);
    }
}
