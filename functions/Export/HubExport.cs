using System.Text.Json;
using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions.Api;
using IotHub.Functions.Devices;
using IotHub.Functions.Hubs;
using IotHub.Functions.Networks;
using IotHub.Functions.Routes;

namespace IotHub.Functions.Export;

/// <summary>
/// A whole hub as one JSON document: an extension of the API. Everything stands in it as the API shows it to readers. The only feature
/// that reads several others.
/// </summary>
internal sealed class HubExport(
    ApiRegistry registry, DeviceAnswers devices, NetworkFunctions networks, RouteFunctions routes, ITwins twins, Sealer sealer,
    FunctionsSettings settings)
{
    private const int FlushAtBytes = 64 * 1024;

    public async Task<Outcome<StreamedAnswer>> Export(ApiRequest request)
    {
        if (!(await registry.Hub(request, request.Id("hub_id"))).Get(out var hub, out var problem))
        {
            return problem;
        }
        return new StreamedAnswer("application/json", (output, cancel) => Write(hub.Value, output, cancel));
    }

    private async Task Write(Hub hub, Stream output, CancellationToken cancel)
    {
        await using var json = new Utf8JsonWriter(output);
        var connected = await registry.Store.CountConnected(hub.Id, cancel);
        json.WriteStartObject();
        Member("hub", HubAnswers.Of(hub, connected, registry.Now, settings.MqttEndpoint, sealer));
        json.WriteString("ca_cert_pem", hub.CaCertificatePem);
        json.WriteStartArray("devices");
        var withTwins = (await twins.OfHub(hub.Id, cancel)).ToHashSet();
        await foreach (var device in registry.Store.DevicesOfHub(hub.Id, cancel))
        {
            await WriteDevice(device, withTwins.Contains(device.Id));
        }
        json.WriteEndArray();
        json.WriteStartArray("networks");
        await foreach (var network in registry.Store.NetworksOfHub(hub.Id, cancel))
        {
            json.WriteRawValue(ApiJson.Write(networks.Show(network)));
        }
        json.WriteEndArray();
        json.WriteStartArray("routes");
        await foreach (var route in registry.Store.RoutesOfHub(hub.Id, cancel))
        {
            json.WriteRawValue(ApiJson.Write(routes.Show(route, password: "")));
        }
        json.WriteEndArray();
        json.WriteEndObject();
        await json.FlushAsync(cancel);

        void Member<T>(string name, T value)
        {
            json.WritePropertyName(name);
            json.WriteRawValue(ApiJson.Write(value));
        }

        async Task WriteDevice(Device device, bool mayHaveTwin)
        {
            json.WriteStartObject();
            Member("device", await devices.Of(device, cancel));
            json.WriteString("certificate_pem", device.CertificatePem);
            json.WriteStartArray("twin_documents");
            foreach (var name in mayHaveTwin ? await twins.Names(device.Id, cancel) : [])
            {
                if (await twins.Get(device.Id, name, cancel) is { } document)
                {
                    json.WriteStartObject();
                    json.WriteString("document_name", name);
                    json.WriteNumber("version", document.Value.Version);
                    json.WritePropertyName("data");
                    document.Value.Data.WriteTo(json);
                    json.WriteEndObject();
                }
            }
            json.WriteEndArray();
            json.WriteEndObject();
            if (json.BytesPending > FlushAtBytes)
            {
                await json.FlushAsync(cancel);
            }
        }
    }
}

internal static class ExportRoutes
{
    public static void AddExport(this IServiceCollection services) => services.AddSingleton<HubExport>();

    public static void MapExport(this ApiRoutes api) =>
        api.Get("/hubs/{hub_id}/export", (HubExport export, ApiRequest request) => export.Export(request))
            .Streams("application/json")
            .Extends();
}
