using IotHub.Core.Queues;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions.Api;
using IotHub.Functions.Devices;
using IotHub.Functions.Events;
using IotHub.Functions.Export;
using IotHub.Functions.Hubs;
using IotHub.Functions.Keys;
using IotHub.Functions.Metrics;
using IotHub.Functions.Networks;
using IotHub.Functions.Routes;
using IotHub.Functions.Twins;

namespace IotHub.Functions;

/// <summary>The management API: all of its features, and what they share.</summary>
internal static class ManagementApi
{
    public static void AddManagementApi(this IServiceCollection services)
    {
        services.AddSingleton(provider => new Sealer(provider.GetRequiredService<FunctionsSettings>().SealingKey.Span));
        services.AddSingleton<CertificateAuthority>();
        services.AddSingleton(provider => new ApiRegistry(
            provider.GetRequiredService<IRegistry>(),
            provider.GetRequiredService<BrokerClient>(),
            provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IdempotentCreates>();
        services.AddSingleton<FailedLogins>();
        services.AddKeys();
        services.AddHubs();
        services.AddDevices();
        services.AddNetworks();
        services.AddRoutes();
        services.AddHubMetrics();
        services.AddExport();
    }

    public static void MapManagementApi(this IEndpointRouteBuilder app)
    {
        var api = new ApiRoutes(app);
        api.MapKeys();
        api.MapHubs();
        api.MapDevices();
        api.MapNetworks();
        api.MapRoutes();
        api.MapTwins();
        api.MapMetrics();
        api.MapEvents();
        api.MapExport();
        api.Describe();
        app.MapReferencePage();
        app.MapServerCa();
        api.Rest();
    }
}
