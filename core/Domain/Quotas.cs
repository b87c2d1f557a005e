namespace IotHub.Core.Domain;

/// <summary>How many of each there may be (Scaleway IoT reference, plans, quotas and limits).</summary>
public static class Quotas
{
    public const int DevicesOfHub = 10_000;
    public const int NetworksOfHub = 100;
    public const int RoutesOfHub = 100;

    /// <summary>Hubs of one plan in an organization.</summary>
    public static int HubsOf(ProductPlan plan) => plan == ProductPlan.PlanShared ? 5 : 50;
}
