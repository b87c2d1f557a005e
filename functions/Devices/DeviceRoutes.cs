using IotHub.Core.Domain;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>The device part of the management API.</summary>
internal static class DeviceRoutes
{
    public static void AddDevices(this IServiceCollection services)
    {
        services.AddSingleton<DeviceAnswers>();
        services.AddSingleton<DeviceIssuer>();
        services.AddSingleton<DeviceFunctions>();
        services.AddSingleton<DeviceCertificates>();
        services.AddSingleton<DeviceRights>();
        services.AddSingleton<DeviceBulk>();
        services.AddSingleton<DeviceImport>();
    }

    public static void MapDevices(this ApiRoutes api)
    {
        const ApiRole Operator = ApiRole.Operator;
        api.Get("/devices", (DeviceFunctions devices, ApiRequest request) => devices.List(request))
            .Lists(DeviceFunctions.Orders.Names, "name", "hub_id", "allow_insecure", "status")
            .AsksMore("tags", "is_connected");
        api.Post("/devices", Operator, (DeviceFunctions devices, ApiRequest request) => devices.Create(request))
            .Takes<CreateDeviceRequest>()
            .Repeats();
        api.Get("/devices/{device_id}", (DeviceFunctions devices, ApiRequest request) => devices.Get(request));
        api.Patch("/devices/{device_id}", Operator, (DeviceFunctions devices, ApiRequest request) => devices.Update(request))
            .Takes<UpdateDeviceRequest>();
        api.Post("/devices/{device_id}/enable", Operator, (DeviceFunctions devices, ApiRequest request) => devices.Enable(request));
        api.Post("/devices/{device_id}/disable", Operator, (DeviceFunctions devices, ApiRequest request) => devices.Disable(request));
        api.Get("/devices/{device_id}/explain", (DeviceRights rights, ApiRequest request) => rights.Explain(request))
            .Chooses<ExplainedAction>("action")
            .AsksMore("topic")
            .Extends();
        api.Post("/hubs/{hub_id}/import-devices", Operator, (DeviceImport import, ApiRequest request) => import.Run(request))
            .Says(DeviceImport.Description)
            .Reads(DeviceBulk.JsonLines, DeviceBulk.Csv)
            .Chooses<BulkFormat>("format")
            .AsksMore("certificates")
            .Streams(DeviceBulk.JsonLines)
            .Extends();
        api.Get("/hubs/{hub_id}/export-devices", (DeviceBulk bulk, ApiRequest request) => bulk.Export(request))
            .Chooses<BulkFormat>("format")
            .Streams(DeviceBulk.JsonLines, DeviceBulk.Csv)
            .Extends();
        api.Delete("/devices/{device_id}", Operator, (DeviceFunctions devices, ApiRequest request) => devices.Delete(request));
        api.Post(
            "/devices/{device_id}/renew-certificate", Operator, (DeviceCertificates devices, ApiRequest request) => devices.Renew(request));
        api.Put("/devices/{device_id}/certificate", Operator, (DeviceCertificates devices, ApiRequest request) => devices.Set(request))
            .Takes<SetCertificateRequest>();
        api.Get("/devices/{device_id}/certificate", (DeviceCertificates devices, ApiRequest request) => devices.Get(request));
    }
}
