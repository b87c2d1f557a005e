using IotHub.Core.Messages;
using IotHub.Functions.Events;
using IotHub.Functions.Hosting;
using IotHub.Functions.Metrics;
using IotHub.Functions.Routes.Delivery;
using IotHub.Functions.Twins;

namespace IotHub.Functions;

/// <summary>
/// Every function of the app. The build writes the function.json files from this list, and the host's calls are mapped from it. Function
/// names are kept: keys, timer state and statistics hang on them.
/// </summary>
public static class FunctionList
{
    public static readonly IReadOnlyList<FunctionDefinition> All =
    [
        new HttpFunction("ManagementApi", "iot/{*path}", ["get", "post", "put", "patch", "delete"]),
        new HttpFunction("Ingest", "ingest/{*path}", ["post"]),
        new HttpFunction("Health", "health", ["get"]),
        new QueueFunction("DeliverRoutes", StorageNames.DeliveriesQueue, (services, message, cancel) =>
            services.GetRequiredService<DeliverFunction>().Run(message, cancel)),
        new QueueFunction("RecordEvents", StorageNames.EventsQueue, (services, message, cancel) =>
            services.GetRequiredService<RecordEventsFunction>().Run(message, cancel)),
        new QueueFunction("PushTwins", StorageNames.TwinPushesQueue, (services, message, cancel) =>
            services.GetRequiredService<PushFunction>().Run(message, cancel)),
        new QueueFunction("RecordMetrics", StorageNames.MetricsQueue, (services, message, cancel) =>
            services.GetRequiredService<RecordMetricsFunction>().Run(message, cancel)),
        new TimerFunction("RollUpMetrics", "0 3 * * * *", (services, cancel) =>
            services.GetRequiredService<RollUpFunction>().Run(cancel)),
        new TimerFunction("TrimMetrics", "0 22 3 * * *", (services, cancel) =>
            services.GetRequiredService<RollUpFunction>().Trim(cancel)),
        new TimerFunction("TrimChanges", "0 7 * * * *", (services, cancel) =>
            services.GetRequiredService<TrimFunctions>().TrimChanges(cancel)),
        new TimerFunction("TrimCreations", "0 12 * * * *", (services, cancel) =>
            services.GetRequiredService<TrimFunctions>().TrimCreations(cancel)),
        new TimerFunction("TrimEvents", "0 37 3 * * *", (services, cancel) =>
            services.GetRequiredService<TrimFunctions>().TrimEvents(cancel)),
        new TimerFunction("TrimPayloads", "0 52 3 * * *", (services, cancel) =>
            services.GetRequiredService<TrimFunctions>().TrimPayloads(cancel)),
    ];
}
