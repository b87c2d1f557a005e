using IotHub.Harness;
using IotHub.Local.Launch;
using Xunit;

namespace IotHub.Unit.Local;

public sealed class DeathsTests
{
    [Fact]
    public void The_sixth_death_within_a_minute_is_too_many()
    {
        var deaths = new Deaths(new ManualTime());
        for (var i = 0; i < Deaths.Allowed; i++)
        {
            Assert.False(deaths.AreTooMany("The broker"));
        }
        Assert.False(deaths.AreTooMany("Azurite"));
        Assert.True(deaths.AreTooMany("The broker"));
    }

    [Fact]
    public void Deaths_that_lie_apart_are_forgiven()
    {
        var time = new ManualTime();
        var deaths = new Deaths(time);
        for (var i = 0; i < 4 * Deaths.Allowed; i++)
        {
            Assert.False(deaths.AreTooMany("The broker"));
            time.Advance(Deaths.Window / Deaths.Allowed + TimeSpan.FromSeconds(1));
        }
    }
}
