using System.Globalization;
using System.Text.Json.Nodes;
using IotHub.Core;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Metrics;

internal sealed record MetricsAnswer(IReadOnlyList<MetricSeries> Metrics);

/// <param name="Points">Arrays of a timestamp and a number, as the official clients read them.</param>
internal sealed record MetricSeries(string Name, JsonArray Points, JsonObject Metadata);

/// <summary>The metrics of hubs and devices, in the scale that reaches back to <c>start_date</c>.</summary>
internal sealed class MetricFunctions(ApiRegistry registry, IMetrics metrics)
{
    public async Task<Outcome<MetricsAnswer>> OfHub(ApiRequest request)
    {
        var start = request.Query.Date("start_date");
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        return (await registry.Hub(request, request.Id("hub_id"))).Get(out var hub, out var problem)
            ? await Read(request, hub.Value.Id, null, start, "active_devices")
            : problem;
    }

    public async Task<Outcome<MetricsAnswer>> OfDevice(ApiRequest request)
    {
        var start = request.Query.Date("start_date");
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        return (await registry.Device(request, request.Id("device_id"))).Get(out var found, out var problem)
            ? await Read(request, found.Hub.Id, found.Device.Value.Id, start, "device_activity")
            : problem;
    }

    private async Task<MetricsAnswer> Read(ApiRequest request, Guid hubId, Guid? deviceId, DateTimeOffset? start, string activity)
    {
        var now = registry.Now;
        var scale = MetricScales.Of(start, now);
        var steps = MetricScales.Steps(scale, now);
        var values = await new MetricReading(metrics, hubId, deviceId, now, request.Cancel).Values(scale, steps);
        return new MetricsAnswer(
        [
            Series("messages_count", steps, values.Select(value => value.Messages)),
            Series(activity, steps, values.Select(value => value.Active)),
        ]);
    }

    private static MetricSeries Series(string name, IReadOnlyList<DateTimeOffset> steps, IEnumerable<long> values) => new(
        name,
        [.. steps.Zip(values, (at, value) => new JsonArray(at.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture), value))],
        []);
}
