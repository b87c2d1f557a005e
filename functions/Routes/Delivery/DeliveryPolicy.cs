namespace IotHub.Functions.Routes.Delivery;

/// <summary>How one try to deliver one message ended.</summary>
public enum DeliveryResult
{
    Delivered,

    /// <summary>The target is away, slow or overloaded: it will be another time.</summary>
    NotNow,

    /// <summary>The target answered and does not want this message. Targets that are being set up do that too, for a short while.</summary>
    Refused,

    /// <summary>It cannot work as the route is set up, however often it is tried.</summary>
    Impossible,
}

/// <param name="Reason">The text of the hub event, empty when delivered.</param>
/// <param name="RetryAfter">What the target asked for.</param>
public sealed record DeliveryOutcome(DeliveryResult Result, string Reason = "", TimeSpan? RetryAfter = null)
{
    public static readonly DeliveryOutcome Delivered = new(DeliveryResult.Delivered);

    public static DeliveryOutcome NotNow(string reason, TimeSpan? retryAfter = null) => new(DeliveryResult.NotNow, reason, retryAfter);

    public static DeliveryOutcome Refused(string reason) => new(DeliveryResult.Refused, reason);

    public static DeliveryOutcome Impossible(string reason) => new(DeliveryResult.Impossible, reason);
}

public enum DeliveryStep { Done, Retry, DeadLetter }

/// <param name="Delay">For a retry: how long to wait, before jitter.</param>
public sealed record DeliveryDecision(DeliveryStep Step, TimeSpan Delay = default);

/// <summary>
/// What follows from how a try ended:
/// <code>
/// result      tried before        too old   step
/// Delivered   any                 any       done
/// NotNow      never               any       retry after 1 s
/// NotNow      n times             no        retry after 2^n s, at most 5 min, at least what the target asked for
/// NotNow      at least once       yes       dead letter
/// Refused     fewer than 3 refusals         retry likewise
/// Refused     3 refusals in a row           dead letter
/// Impossible  any                 any       dead letter
/// </code>
/// Retries are messages of our own on the queue, so the host's limit of five dequeues is never reached by a target that is down.
/// </summary>
public sealed record DeliveryPolicy
{
    public static readonly TimeSpan FirstDelay = TimeSpan.FromSeconds(1);
    public static readonly TimeSpan LongestDelay = TimeSpan.FromMinutes(5);

    /// <summary>Refusals in a row before the next one is final.</summary>
    public const int RefusalsBorne = 3;

    /// <summary>Age of a message after which a target that is away is no longer waited for.</summary>
    public TimeSpan GiveUpAfter { get; init; } = TimeSpan.FromHours(24);

    /// <param name="attempt">Failed tries before this one.</param>
    /// <param name="refusals">How many of the last ones in a row were refusals.</param>
    /// <param name="age">Since the hub accepted the message.</param>
    public DeliveryDecision Decide(DeliveryOutcome outcome, int attempt, int refusals, TimeSpan age) => outcome.Result switch
    {
        DeliveryResult.Delivered => new(DeliveryStep.Done),
        DeliveryResult.NotNow when attempt == 0 || age <= GiveUpAfter => new(DeliveryStep.Retry, Delay(attempt, outcome.RetryAfter)),
        DeliveryResult.NotNow => new(DeliveryStep.DeadLetter),
        DeliveryResult.Refused when refusals < RefusalsBorne => new(DeliveryStep.Retry, Delay(attempt, outcome.RetryAfter)),
        DeliveryResult.Refused => new(DeliveryStep.DeadLetter),
        DeliveryResult.Impossible => new(DeliveryStep.DeadLetter),
        _ => throw new ArgumentOutOfRangeException(nameof(outcome), outcome.Result, "not in the table"),
    };

    /// <summary>Between 80 % and 120 %, so that the batches of a target that was away do not all come at once.</summary>
    public static TimeSpan Jitter(TimeSpan delay, Random random) => delay * (0.8 + (0.4 * random.NextDouble()));

    private static TimeSpan Delay(int attempt, TimeSpan? askedFor)
    {
        // 2^9 s is above the longest delay; beyond, only the exponent would overflow.
        var delay = FirstDelay * Math.Pow(2, Math.Min(attempt, 9));
        var wanted = askedFor is { } asked && asked > delay ? asked : delay;
        return wanted < LongestDelay ? wanted : LongestDelay;
    }
}
