using IotHub.Core.Domain;
using IotHub.Core.Messages;

namespace IotHub.Broker.Auth;

/// <summary>
/// What one device may do, as of one reading of the registry. Immutable: a change makes a new one, and the broker swaps it in on the
/// live session. Asked once per topic and session, not per message (see the broker's grant cache).
/// </summary>
public sealed class Rights
{
    /// <summary>Everything, at every quality: the stand-alone mode, or a device without filters on a plan without limits.</summary>
    public static readonly Rights All = new(MessageFilters.AllowAll, PlanRules.None, allowMultipleConnections: true);

    public Rights(MessageFilters filters, PlanRules plan, bool allowMultipleConnections)
    {
        Filters = filters;
        Plan = plan;
        AllowMultipleConnections = allowMultipleConnections;
    }

    /// <summary>Templates already filled in.</summary>
    public MessageFilters Filters { get; }
    public PlanRules Plan { get; }
    public bool AllowMultipleConnections { get; }

    /// <summary>True when no topic ever has to be looked at.</summary>
    public bool Unfiltered => Filters.Publish.AllowsEverything && Filters.Subscribe.AllowsEverything;

    public bool MayPublish(string topic) => FilterRules.AllowsTopic(Filters.Publish, topic);

    /// <summary>May a message on this topic reach the device, through whatever subscription?</summary>
    public bool MayReceive(string topic) => FilterRules.AllowsTopic(Filters.Subscribe, topic);

    /// <summary>A broader filter than a rejected one is granted, and <see cref="MayReceive"/> keeps the rejected topics out.</summary>
    public bool MaySubscribe(string filter) => FilterRules.AllowsSubscription(Filters.Subscribe, filter);
}

/// <summary>What a hub's plan forbids (Scaleway IoT reference, plans and limits).</summary>
public sealed record PlanRules(bool CleanSessionOnly, bool NoRetain, bool NoQos2Publish, bool Qos0SubscribeOnly)
{
    public static readonly PlanRules None = new(false, false, false, false);
    public static readonly PlanRules Shared = new(true, true, true, true);

    public static PlanRules Of(ProductPlan plan) => plan == ProductPlan.PlanShared ? Shared : None;
}
