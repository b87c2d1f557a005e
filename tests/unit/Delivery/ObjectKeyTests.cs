using System.Globalization;
using IotHub.Functions.Routes.Delivery.Sinks;
using Xunit;

namespace IotHub.Unit.Delivery;

public sealed class ObjectKeyTests
{
    [Theory]
    [InlineData("iot/messages", "hello/world", "iot/messages/hello/world")]
    [InlineData("", "hello/world", "hello/world")]
    [InlineData("", "/hello", "/hello")]
    [InlineData("a/", "b", "a/b")]
    [InlineData("a", "/b", "a/b")]
    [InlineData("a/", "/b", "a/b")]
    [InlineData("a", "b/", "a/b/")]
    [InlineData("a", "../../dead-letters/x", "a/%2E%2E/%2E%2E/dead-letters/x")]
    [InlineData("..", "./b", "%2E%2E/%2E/b")]
    [InlineData("a", "v1.2/...", "a/v1.2/...")]
    public void Prefix_and_topic_are_joined_by_one_slash_and_stay_in_the_bucket(string prefix, string topic, string key) =>
        Assert.Equal(key, ObjectKey.PerTopic(prefix, topic));

    [Theory]
    [InlineData("2026-01-02T03:04:05Z", 0, "2026-01-02T03:04:05Z")]
    [InlineData("2026-01-02T03:04:05.1Z", 0, "2026-01-02T03:04:05.1Z")]
    [InlineData("2026-01-02T03:04:05.1234567Z", 0, "2026-01-02T03:04:05.1234567Z")]
    [InlineData("2026-01-02T03:04:05.1234567Z", 7, "2026-01-02T03:04:05.123456707Z")]
    [InlineData("2026-01-02T03:04:05Z", 10, "2026-01-02T03:04:05.00000001Z")]
    [InlineData("2026-01-02T05:04:05.5+02:00", 0, "2026-01-02T03:04:05.5Z")]
    public void Timestamps_have_the_layout_of_Go(string at, int extra, string expected) =>
        Assert.Equal(expected, ObjectKey.Timestamp(DateTimeOffset.Parse(at, CultureInfo.InvariantCulture), extra));
}
