using IotHub.Functions.Api;

namespace IotHub.Functions.Metrics;

/// <summary>The metrics part of the management API.</summary>
internal static class MetricRoutes
{
    public static void AddHubMetrics(this IServiceCollection services)
    {
        services.AddSingleton<RecordMetricsFunction>();
        services.AddSingleton<RollUpFunction>();
        services.AddSingleton<MetricFunctions>();
    }

    public static void MapMetrics(this ApiRoutes api)
    {
        api.Get("/hubs/{hub_id}/metrics", (MetricFunctions metrics, ApiRequest request) => metrics.OfHub(request))
            .Asks("start_date");
        api.Get("/devices/{device_id}/metrics", (MetricFunctions metrics, ApiRequest request) => metrics.OfDevice(request))
            .Asks("start_date");
    }
}
