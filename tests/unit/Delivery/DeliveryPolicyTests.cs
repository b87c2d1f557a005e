using IotHub.Functions.Routes.Delivery;
using Xunit;

namespace IotHub.Unit.Delivery;

/// <summary>The delivery policy against its table, for every input that can differ.</summary>
public sealed class DeliveryPolicyTests
{
    private static readonly DeliveryPolicy Policy = new();

    [Fact]
    public void Every_input_has_the_step_of_the_table()
    {
        foreach (var result in Enum.GetValues<DeliveryResult>())
        {
            foreach (var attempt in Enumerable.Range(0, 30).Append(1_000_000).Append(int.MaxValue))
            {
                for (var refusals = 0; refusals <= 6; refusals++)
                {
                    foreach (var age in new[] { TimeSpan.Zero, Policy.GiveUpAfter, Policy.GiveUpAfter + TimeSpan.FromTicks(1), TimeSpan.FromDays(300) })
                    {
                        Assert.Equal(
                            Expected(result, attempt, refusals, age > TimeSpan.FromHours(24)),
                            Policy.Decide(new DeliveryOutcome(result), attempt, refusals, age).Step);
                    }
                }
            }
        }
    }

    // Written out, as in the table of DeliveryPolicy.
    private static DeliveryStep Expected(DeliveryResult result, int attempt, int refusals, bool tooOld) => (result, attempt, refusals, tooOld) switch
    {
        (DeliveryResult.Delivered, _, _, _) => DeliveryStep.Done,
        (DeliveryResult.NotNow, 0, _, _) => DeliveryStep.Retry,
        (DeliveryResult.NotNow, _, _, false) => DeliveryStep.Retry,
        (DeliveryResult.NotNow, _, _, true) => DeliveryStep.DeadLetter,
        (DeliveryResult.Refused, _, 0 or 1 or 2, _) => DeliveryStep.Retry,
        (DeliveryResult.Refused, _, _, _) => DeliveryStep.DeadLetter,
        (DeliveryResult.Impossible, _, _, _) => DeliveryStep.DeadLetter,
        _ => throw new InvalidOperationException("not in the table"),
    };

    [Fact]
    public void Delays_double_from_a_second_to_five_minutes()
    {
        var delays = Enumerable.Range(0, 12).Select(attempt => Policy.Decide(DeliveryOutcome.NotNow(""), attempt, 0, TimeSpan.Zero).Delay.TotalSeconds);
        Assert.Equal([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300], delays);
        Assert.Equal(TimeSpan.FromMinutes(5), Policy.Decide(DeliveryOutcome.NotNow(""), int.MaxValue, 0, TimeSpan.Zero).Delay);
    }

    [Theory]
    [InlineData(0, 30, 30)]
    [InlineData(0, 0, 1)]
    [InlineData(0, -5, 1)]
    [InlineData(6, 30, 64)]
    [InlineData(0, 86_400, 300)]
    public void A_target_may_ask_for_more_time_but_not_for_more_than_the_longest_delay(int attempt, int asked, int expected)
    {
        var outcome = DeliveryOutcome.NotNow("", TimeSpan.FromSeconds(asked));
        Assert.Equal(expected, Policy.Decide(outcome, attempt, 0, TimeSpan.Zero).Delay.TotalSeconds);
    }

    [Fact]
    public void Jitter_stays_within_a_fifth_and_is_not_always_the_same()
    {
        var random = new Random(7);
        var delays = Enumerable.Range(0, 1000).Select(_ => DeliveryPolicy.Jitter(TimeSpan.FromSeconds(100), random).TotalSeconds).ToList();
        Assert.All(delays, delay => Assert.InRange(delay, 80, 120));
        Assert.True(delays.Max() - delays.Min() > 30);
    }
}
