using IotHub.Harness;
using IotHub.Local.Launch;
using Xunit;

namespace IotHub.Unit.Local;

public sealed class DeathsTests
{
    [Fact]
    public void Deaths_are_counted_per_child_within_a_minute()
    {
        var time = new ManualTime();
        var deaths = new Deaths(time);

        Assert.Equal(1, deaths.Count("broker"));
        time.Advance(TimeSpan.FromSeconds(40));
        Assert.Equal(2, deaths.Count("broker"));
        Assert.Equal(1, deaths.Count("Azurite"));
        time.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal(2, deaths.Count("broker"));
        time.Advance(TimeSpan.FromMinutes(2));
        Assert.Equal(1, deaths.Count("broker"));
    }
}
