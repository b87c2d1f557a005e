using IotHub.Local.StandInHost;
using Xunit;

namespace IotHub.Unit.Local;

public sealed class TimerScheduleTests
{
    [Theory]
    [InlineData("0 */5 * * * *", "2026-11-20T09:12:31Z", "2026-11-20T09:15:00Z")]
    [InlineData("0 */5 * * * *", "2026-11-20T09:15:00Z", "2026-11-20T09:20:00Z")]
    [InlineData("0 7 * * * *", "2026-12-31T23:30:00Z", "2027-01-01T00:07:00Z")]
    [InlineData("0 37 3 * * *", "2026-02-28T03:37:00Z", "2026-03-01T03:37:00Z")]
    [InlineData("30 0 12 * * 1", "2026-11-20T00:00:00Z", "2026-11-23T12:00:30Z")]
    [InlineData("*/5 * * * *", "2026-11-20T09:12:31Z", "2026-11-20T09:15:00Z")]
    [InlineData("00:10:00", "2026-11-20T09:12:31Z", "2026-11-20T09:22:31Z")]
    public void Next_occurrence_is_the_first_one_after_the_given_time(string schedule, string after, string next) =>
        Assert.Equal(DateTimeOffset.Parse(next), TimerSchedule.Parse(schedule).Next(DateTimeOffset.Parse(after), TimeZoneInfo.Utc));

    [Fact]
    public void Occurrences_follow_the_wall_clock_of_the_zone()
    {
        var paris = TimeZoneInfo.FindSystemTimeZoneById("Europe/Paris");
        var noon = TimerSchedule.Parse("0 0 12 * * *");
        Assert.Equal(DateTimeOffset.Parse("2026-07-01T10:00:00Z"), noon.Next(DateTimeOffset.Parse("2026-07-01T00:00:00Z"), paris));
        Assert.Equal(DateTimeOffset.Parse("2026-12-01T11:00:00Z"), noon.Next(DateTimeOffset.Parse("2026-12-01T00:00:00Z"), paris));
    }

    [Fact]
    public void Occurrence_in_the_hour_that_the_clock_skips_comes_an_hour_later()
    {
        var paris = TimeZoneInfo.FindSystemTimeZoneById("Europe/Paris");
        var next = TimerSchedule.Parse("0 30 2 * * *").Next(DateTimeOffset.Parse("2026-03-28T23:30:00Z"), paris);
        Assert.Equal(DateTimeOffset.Parse("2026-03-29T01:30:00Z"), next);
    }

    [Theory]
    [InlineData("* * * * * *", true)]
    [InlineData("*/30 * * * * *", true)]
    [InlineData("0 * * * * *", false)]
    [InlineData("00:00:30", true)]
    [InlineData("00:01:00", false)]
    public void Schedule_that_fires_more_than_once_a_minute_is_frequent(string schedule, bool frequent) =>
        Assert.Equal(frequent, TimerSchedule.Parse(schedule).IsFrequent(DateTimeOffset.Parse("2026-11-20T09:12:31Z")));

    [Theory]
    [InlineData("every day")]
    [InlineData("0 0 25 * * *")]
    [InlineData("* * * *")]
    [InlineData("00:00:00")]
    [InlineData("-00:05:00")]
    public void Nonsense_is_refused_with_its_text(string schedule) =>
        Assert.Contains(
            schedule, Assert.Throws<FunctionAppException>(() => TimerSchedule.Parse(schedule)).Message, StringComparison.Ordinal);
}
