using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>What a device may want to do with a topic; the first one stands for nothing.</summary>
internal enum ExplainedAction { Unknown, Publish, Subscribe }

/// <summary>What decides: the first of these that applies.</summary>
internal enum DecidingRuleKind { HubStatus, DeviceStatus, Twin, MessageFilters }

/// <param name="Rule">For message filters: <c>publish</c> or <c>subscribe</c>.</param>
/// <param name="Entry">The listed filter that decides, as it is stored; absent when none of the rule applies.</param>
/// <param name="EntryFilledIn">The same with its templates filled in, where it has any.</param>
internal sealed record DecidingRule(
    DecidingRuleKind Kind,
    string Help,
    string? Rule = null,
    MessageFilterPolicy? Policy = null,
    string? Entry = null,
    string? EntryFilledIn = null);

internal sealed record ExplainAnswer(bool Allowed, ExplainedAction Action, string Topic, DecidingRule DecidedBy);

/// <summary>Explains what a device may do, by the same rules that the broker decides with: an extension of the API.</summary>
internal sealed class DeviceRights(ApiRegistry registry)
{
    private const string Share = "$share/";

    public async Task<Outcome<ExplainAnswer>> Explain(ApiRequest request)
    {
        var (action, topic) = (request.Query.Choice<ExplainedAction>("action"), request.Query.Text("topic") ?? "");
        if (action is null && request.Checks.Problem is null)
        {
            request.Checks.Wrong("action", "required", "must be publish or subscribe");
        }
        if (topic.Length == 0)
        {
            request.Checks.Wrong("topic", "required", "is required");
        }
        else if (action == ExplainedAction.Publish && !TopicFilter.IsValidName(topic))
        {
            request.Checks.Wrong("topic", "format", "must be an MQTT topic to publish on, without + and #, at most 65535 bytes");
        }
        else if (action == ExplainedAction.Subscribe)
        {
            request.Checks.TopicFilterText("topic", Unshared(topic));
        }
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (!(await registry.Device(request, request.Id("device_id"))).Get(out var found, out var problem))
        {
            return problem;
        }
        var (allowed, by) = Decide(found.Hub, found.Device.Value, action!.Value, Unshared(topic));
        return new ExplainAnswer(allowed, action.Value, topic, by);
    }

    private (bool Allowed, DecidingRule By) Decide(Hub hub, Device device, ExplainedAction action, string topic)
    {
        var status = hub.StatusAt(registry.Now);
        if (status != HubStatus.Ready)
        {
            return (false, new DecidingRule(DecidingRuleKind.HubStatus, $"the hub is {ApiJson.Text(status)}: no device can connect"));
        }
        if (device.Status != DeviceStatus.Enabled)
        {
            return (false, new DecidingRule(
                DecidingRuleKind.DeviceStatus, $"the device is {ApiJson.Text(device.Status)}: it cannot connect"));
        }
        if (topic.StartsWith(TwinTopic.Tree, StringComparison.Ordinal))
        {
            return OfTwin(device, action, topic);
        }
        var filters = FilterTemplates.Fill(device.Filters, hub, device);
        return action == ExplainedAction.Publish
            ? Explained("publish", device.Filters.Publish, FilterRules.AllowsTopic(filters.Publish, topic), TopicFilter.Matches)
            : Explained(
                "subscribe", device.Filters.Subscribe, FilterRules.AllowsSubscription(filters.Subscribe, topic), TopicFilter.Contains);

        (bool, DecidingRule) Explained(string name, MessageFilterRule rule, bool allowed, Func<string, string, bool> applies) =>
            (allowed, ByFilter(name, rule, allowed, entry => FilledIn(entry) is { } filled && applies(filled, topic), FilledIn));

        string? FilledIn(string entry) => FilterTemplates.TryFill(entry, hub, device, out var filled) ? filled : null;
    }

    private static (bool Allowed, DecidingRule By) OfTwin(Device device, ExplainedAction action, string topic)
    {
        if (action == ExplainedAction.Subscribe)
        {
            return (true, new DecidingRule(
                DecidingRuleKind.Twin, "answers to the device's own requests come there; message filters do not count"));
        }
        return TwinTopic.Parse(topic) is { } request && request.IsOf(device.Id)
            ? (true, new DecidingRule(DecidingRuleKind.Twin, "a request to the device's own twin; message filters do not count"))
            : (false, new DecidingRule(DecidingRuleKind.Twin, "a device reaches only its own twin, by get, put or patch of a document"));
    }

    private static DecidingRule ByFilter(
        string name, MessageFilterRule rule, bool allowed, Func<string, bool> applies, Func<string, string?> filledIn)
    {
        var policy = rule.Policy == MessageFilterPolicy.Accept ? MessageFilterPolicy.Accept : MessageFilterPolicy.Reject;
        if (rule.Topics.FirstOrDefault(applies) is { } entry)
        {
            var filled = filledIn(entry) is { } text && text != entry ? text : null;
            return new DecidingRule(
                DecidingRuleKind.MessageFilters,
                $"the topic is listed, and the rule {ApiJson.Text(policy)}s what is listed",
                name,
                policy,
                entry,
                filled);
        }
        return policy == MessageFilterPolicy.Reject && !allowed
            ? new DecidingRule(
                DecidingRuleKind.MessageFilters, "a template among the rejected topics cannot be read, so nothing is allowed", name, policy,
                rule.Topics.First(topic => topic.Contains("{{", StringComparison.Ordinal) && filledIn(topic) is null))
            : new DecidingRule(
                DecidingRuleKind.MessageFilters,
                policy == MessageFilterPolicy.Accept ? "the topic is not among those accepted" : "the topic is not among those rejected",
                name,
                policy);
    }

    /// <summary>Rights are those to the filter behind <c>$share/name/</c>.</summary>
    private static string Unshared(string filter) =>
        filter.StartsWith(Share, StringComparison.Ordinal) && filter.IndexOf('/', Share.Length) is > 0 and var end
            ? filter[(end + 1)..]
            : filter;
}
