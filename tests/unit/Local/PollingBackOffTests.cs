using IotHub.Local.StandInHost;
using Xunit;

namespace IotHub.Unit.Local;

public sealed class PollingBackOffTests
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    [Fact]
    public void First_wait_after_messages_is_100_ms()
    {
        var backOff = new PollingBackOff(Minute, new Random(1));
        Assert.Equal(100, backOff.NextWait().TotalMilliseconds);
        backOff.NextWait();
        backOff.MessagesFound();
        Assert.Equal(100, backOff.NextWait().TotalMilliseconds);
    }

    [Fact]
    public void Waits_grow_by_doubling_steps_of_100_ms_give_or_take_a_fifth()
    {
        var backOff = new PollingBackOff(Minute, new Random(2));
        backOff.NextWait();
        for (var n = 1; n <= 9; n++)
        {
            var step = 100 * Math.Pow(2, n - 1);
            Assert.InRange(backOff.NextWait().TotalMilliseconds, 100 + (0.8 * step), 100 + (1.2 * step));
        }
    }

    [Fact]
    public void Wait_stays_at_the_maximum_until_a_message_is_found()
    {
        var backOff = new PollingBackOff(TimeSpan.FromSeconds(2), new Random(3));
        var waits = Enumerable.Range(0, 20).Select(_ => backOff.NextWait()).ToList();
        Assert.All(waits, wait => Assert.True(wait <= TimeSpan.FromSeconds(2)));
        Assert.All(waits.TakeLast(10), wait => Assert.Equal(TimeSpan.FromSeconds(2), wait));
    }

    [Fact]
    public void Maximum_below_the_minimum_is_always_the_wait() =>
        Assert.Equal(TimeSpan.FromMilliseconds(50), new PollingBackOff(TimeSpan.FromMilliseconds(50), new Random(4)).NextWait());
}
