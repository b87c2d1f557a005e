using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Functions.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Xunit;
using static IotHub.Contract.Api.ApiConventions;

namespace IotHub.Contract.Api;

/// <summary>Metrics over the API, on every driver: shapes, scales, and values that are the same in each scale.</summary>
public abstract class MetricApiContract : IAsyncLifetime
{
    private static readonly (string Ago, int Points, TimeSpan Step)[] Scales =
    [
        ("00:59:59", 60, TimeSpan.FromMinutes(1)), ("23:59:59", 25, TimeSpan.FromHours(1)), ("6.23:59:59", 29, TimeSpan.FromHours(6)),
        ("29.23:59:59", 31, TimeSpan.FromDays(1)), ("365.00:00:00", 13, TimeSpan.Zero),
    ];

    private TestApi _api = null!;
    private JsonNode _hub = null!;
    private JsonNode _device = null!;

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync()
    {
        _api = await NewApi();
        _hub = await _api.NewHub();
        _device = await _api.NewDevice(_hub);
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task A_hub_without_messages_has_all_points_at_zero()
    {
        var answer = (await _api.Get($"hubs/{_hub["id"]}/metrics")).Ok;
        Assert.Equal(["metrics"], TestApi.Members(answer));
        Assert.Equal(["messages_count", "active_devices"], answer["metrics"]!.AsArray().Select(metric => (string)metric!["name"]!));
        foreach (var metric in answer["metrics"]!.AsArray())
        {
            Assert.Equal(["metadata", "name", "points"], TestApi.Members(metric!));
            AssertJson("{}", metric!["metadata"]!);
            Assert.All(metric["points"]!.AsArray(), point => Assert.Equal((2, 0L), (point!.AsArray().Count, (long)point[1]!)));
        }
        var ofDevice = (await _api.Get($"devices/{_device["id"]}/metrics")).Ok;
        Assert.Equal(["messages_count", "device_activity"], ofDevice["metrics"]!.AsArray().Select(metric => (string)metric!["name"]!));
    }

    [Fact]
    public async Task The_start_date_picks_the_smallest_scale_that_reaches_back_to_it()
    {
        foreach (var (ago, points, step) in Scales)
        {
            var start = _api.Time.GetUtcNow() - TimeSpan.Parse(ago, System.Globalization.CultureInfo.InvariantCulture);
            var times = Points(await Metrics("hubs", _hub, start), "messages_count").Select(point => point.At).ToList();
            Assert.Equal(points, times.Count);
            Assert.Equal(times.Order(), times);
            Assert.True(times[0] <= start, $"{ago}: {times[0]:O} is after {start:O}");
            if (step != TimeSpan.Zero)
            {
                Assert.All(times.Zip(times.Skip(1)), pair => Assert.Equal(step, pair.Second - pair.First));
            }
            else
            {
                Assert.All(times, time => Assert.Equal((1, 0, 0), (time.Day, time.Hour, time.Minute)));
            }
        }
    }

    [Fact]
    public async Task Counted_messages_show_in_every_scale_before_and_after_the_roll_up()
    {
        var second = await _api.NewDevice(_hub, "second");
        var now = _api.Time.GetUtcNow();
        await Record(now.AddMinutes(-2), (_device, 8), (second, 4));
        await Record(now.AddMinutes(-1), (_device, 2));
        await AssertSums(14, 2, 10);
        _api.Time.Shift += TimeSpan.FromMinutes(65);
        await Record(_api.Time.GetUtcNow().AddMinutes(-1), (_device, 100));
        await AssertSums(114, 2, 110, minutes: false);
        await _api.Services.GetRequiredService<RollUpFunction>().Run(default);
        await AssertSums(114, 2, 110, minutes: false);
        _api.Time.Shift += TimeSpan.FromHours(5);
        await _api.Services.GetRequiredService<RollUpFunction>().Run(default);
        await AssertSums(114, 2, 110, minutes: false);
        Assert.Equal(0, Points(await Metrics("hubs", _hub, _api.Time.GetUtcNow()), "messages_count").Sum(point => point.Value));
    }

    [Fact]
    public async Task A_query_reads_a_handful_of_rows_whatever_was_counted()
    {
        foreach (var now in new[] { "2026-03-01T00:30:00Z", "2026-03-12T15:54:39Z", "2026-03-31T23:59:59Z" })
        {
            var at = DateTimeOffset.Parse(now, System.Globalization.CultureInfo.InvariantCulture);
            var reads = new List<int>();
            foreach (var scale in Enum.GetValues<MetricScale>())
            {
                var counting = new CountingMetrics();
                await new MetricReading(counting, Id(_hub), null, at, default).Values(scale, MetricScales.Steps(scale, at));
                reads.Add(counting.Reads);
            }
            // Minutes, hours, quarters, days, months.
            Assert.All(reads.Zip([2, 5, 11, 8, 10]), pair => Assert.True(pair.First <= pair.Second, $"{now}: {string.Join(' ', reads)}"));
        }
    }

    [Fact]
    public async Task A_minute_shows_what_was_counted_in_it()
    {
        var minute = MetricTimes.StartOf(MetricSpan.Hour, _api.Time.GetUtcNow()).AddMinutes(_api.Time.GetUtcNow().Minute - 3);
        await Record(minute, (_device, 8));
        var hub = await Metrics("hubs", _hub, null);
        Assert.Equal((minute, 8), Assert.Single(Points(hub, "messages_count"), point => point.Value != 0));
        Assert.Equal((minute, 1), Assert.Single(Points(hub, "active_devices"), point => point.Value != 0));
        var device = await Metrics("devices", _device, null);
        Assert.Equal((minute, 8), Assert.Single(Points(device, "messages_count"), point => point.Value != 0));
        Assert.Equal((minute, 1), Assert.Single(Points(device, "device_activity"), point => point.Value != 0));
    }

    [Theory]
    [InlineData("yesterday")]
    [InlineData("2025-01-01")]
    [InlineData("1735689600")]
    [InlineData("2025-13-01T00:00:00Z")]
    [InlineData("01/02/2025 00:00:00 Z")]
    public async Task A_start_date_that_is_none_is_an_invalid_argument(string date)
    {
        Assert.Equal([("start_date", "format")], (await _api.Get($"hubs/{_hub["id"]}/metrics?start_date={date}")).WrongArguments());
        Assert.Equal([("start_date", "format")], (await _api.Get($"devices/{_device["id"]}/metrics?start_date={date}")).WrongArguments());
    }

    [Theory]
    [InlineData("2025-01-01T00:00:00Z")]
    [InlineData("2025-01-01T00%3A00%3A00.000Z")]
    [InlineData("2025-01-01T01:00:00%2B01:00")]
    [InlineData("1970-01-01T00:00:00Z")]
    [InlineData("9999-12-31T23:59:59Z")]
    public async Task Dates_of_all_clients_are_understood(string date) =>
        Assert.Equal(200, (await _api.Get($"hubs/{_hub["id"]}/metrics?start_date={date}")).Status);

    [Fact]
    public async Task Unknown_and_foreign_things_have_no_metrics()
    {
        (await _api.Get($"hubs/{Guid.NewGuid()}/metrics")).Problem(404, "not_found");
        (await _api.Get($"devices/{Guid.NewGuid()}/metrics")).Problem(404, "not_found");
        var foreign = await _api.NewKey(ApiRole.Administrator, organization: Guid.NewGuid());
        (await _api.Get($"hubs/{_hub["id"]}/metrics", foreign)).Problem(404, "not_found");
        (await _api.Get($"devices/{_device["id"]}/metrics", foreign)).Problem(404, "not_found");
    }

    [Fact]
    public async Task A_hub_that_is_gone_is_not_counted()
    {
        await _api.Delete($"hubs/{_hub["id"]}?delete_devices=true");
        await Record(_api.Time.GetUtcNow(), (_device, 8));
        var metrics = _api.Services.GetRequiredService<Core.Storage.IMetrics>();
        Assert.Empty((await metrics.Read(Id(_hub), null, MetricSpan.Hour, _api.Time.GetUtcNow())).Slots);
        Assert.Empty(await metrics.ToRollUp(_api.Time.GetUtcNow().AddHours(2)));
    }

    private async Task AssertSums(long messages, long devices, long ofDevice, bool minutes = true)
    {
        foreach (var (ago, _, _) in Scales.Skip(minutes ? 0 : 1))
        {
            var start = _api.Time.GetUtcNow() - TimeSpan.Parse(ago, System.Globalization.CultureInfo.InvariantCulture);
            var hub = await Metrics("hubs", _hub, start);
            Assert.Equal((ago, messages), (ago, Points(hub, "messages_count").Sum(point => point.Value)));
            Assert.Equal((ago, devices), (ago, Points(hub, "active_devices").Max(point => point.Value)));
            var device = await Metrics("devices", _device, start);
            Assert.Equal((ago, ofDevice), (ago, Points(device, "messages_count").Sum(point => point.Value)));
            Assert.Equal((ago, 1), (ago, Points(device, "device_activity").Max(point => point.Value)));
        }
    }

    private Task Record(DateTimeOffset at, params (JsonNode Device, long Messages)[] devices)
    {
        var envelope = new MetricsEnvelope
        {
            HubId = Id(_hub),
            Source = "0123abcd",
            Minute = MetricTimes.StartOf(MetricSpan.Hour, at).AddMinutes(at.Minute),
            Hub = new HubCounts(devices.Sum(device => device.Messages), devices.Length, devices.Length),
            Devices = [.. devices.Select(device => new DeviceCounts(Id(device.Device), device.Messages))],
        };
        return _api.Services.GetRequiredService<RecordMetricsFunction>().Run(EnvelopeJson.Write(envelope), default);
    }

    private async Task<JsonNode> Metrics(string kind, JsonNode thing, DateTimeOffset? start) =>
        (await _api.Get($"{kind}/{thing["id"]}/metrics{(start is { } at ? $"?start_date={at.UtcDateTime:yyyy-MM-ddTHH:mm:ss.fffZ}" : "")}")).Ok;

    private static List<(DateTimeOffset At, long Value)> Points(JsonNode metrics, string name) =>
    [
        .. metrics["metrics"]!.AsArray().Single(metric => (string)metric!["name"]! == name)!["points"]!.AsArray()
            .Select(point => (DateTimeOffset.Parse((string)point![0]!, System.Globalization.CultureInfo.InvariantCulture), (long)point[1]!)),
    ];

    private sealed class CountingMetrics : Core.Storage.IMetrics
    {
        private readonly Core.Storage.Memory.MemoryMetrics _inner = new();

        public int Reads { get; private set; }

        public Task<Core.Storage.MetricRow> Read(
            Guid hubId, Guid? deviceId, MetricSpan span, DateTimeOffset start, CancellationToken cancel = default)
        {
            Reads++;
            return _inner.Read(hubId, deviceId, span, start, cancel);
        }

        public Task Record(MetricsEnvelope counted, CancellationToken cancel = default) => throw NotAQuery();

        public IAsyncEnumerable<Core.Storage.MetricRow> Devices(
            Guid hubId, MetricSpan span, DateTimeOffset start, CancellationToken cancel = default) => throw NotAQuery();

        public Task Write(
            Guid hubId, MetricSpan span, DateTimeOffset start, IReadOnlyList<Core.Storage.MetricRow> rows,
            CancellationToken cancel = default) => throw NotAQuery();

        public Task<IReadOnlyList<Core.Storage.MetricHour>> ToRollUp(DateTimeOffset now, CancellationToken cancel = default) =>
            throw NotAQuery();

        public Task RolledUp(Core.Storage.MetricHour hour, CancellationToken cancel = default) => throw NotAQuery();

        public Task Trim(DateTimeOffset now, CancellationToken cancel = default) => throw NotAQuery();

        public Task DeleteDevice(Guid hubId, Guid deviceId, DateTimeOffset now, CancellationToken cancel = default) => throw NotAQuery();

        public Task DeleteHub(Guid hubId, CancellationToken cancel = default) => throw NotAQuery();

        private static InvalidOperationException NotAQuery() => new("a query only reads rows by their key");
    }

    private static Guid Id(JsonNode json) => Guid.Parse((string)json["id"]!);
}
