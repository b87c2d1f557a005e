namespace IotHub.Core.Security;

/// <summary>What sealed text stands for; part of what opens it (<see cref="Sealer"/>), so these texts are kept.</summary>
public static class SealPurposes
{
    public static string HubCa(Guid hubId) => $"hub-ca:{hubId:D}";
    public static string Graphite(Guid hubId) => $"hub-graphite:{hubId:D}";
    public static string Creation(string key) => $"creation:{key}";
    public static string RoutePassword(Guid routeId) => $"route-password:{routeId:D}";
}
