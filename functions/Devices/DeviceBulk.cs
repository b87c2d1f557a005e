using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>Exports the devices of a hub as text, one a line: an extension of the API.</summary>
internal sealed class DeviceBulk(ApiRegistry registry, DeviceAnswers answers)
{
    public const string JsonLines = "application/x-ndjson";
    public const string Csv = "text/csv";

    private const int LinesBetweenFlushes = 200;

    public async Task<Outcome<StreamedAnswer>> Export(ApiRequest request)
    {
        var format = request.Query.Choice<BulkFormat>("format") ?? BulkFormat.Jsonl;
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (!(await registry.Hub(request, request.Id("hub_id"))).Get(out var hub, out var problem))
        {
            return problem;
        }
        return new StreamedAnswer(format == BulkFormat.Csv ? Csv + "; charset=utf-8" : JsonLines, async (output, cancel) =>
        {
            var activities = new Dictionary<Guid, DeviceActivity>();
            await foreach (var activity in registry.Store.ActivityOfHub(hub.Value.Id, cancel))
            {
                activities[activity.DeviceId] = activity;
            }
            if (format == BulkFormat.Csv)
            {
                await output.WriteAsync(DeviceLines.Header(), cancel);
            }
            var lines = 0;
            await foreach (var device in registry.Store.DevicesOfHub(hub.Value.Id, cancel))
            {
                var shown = answers.Of(device, activities.GetValueOrDefault(device.Id) ?? DeviceActivity.Never(hub.Value.Id, device.Id));
                await output.WriteAsync(format == BulkFormat.Csv ? DeviceLines.Csv(shown) : Line(shown), cancel);
                if (++lines % LinesBetweenFlushes == 0)
                {
                    await output.FlushAsync(cancel);
                }
            }
        });
    }

    private static byte[] Line<T>(T value) => [.. ApiJson.Write(value), (byte)'\n'];
}
