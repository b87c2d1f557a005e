using IotHub.Core.Domain;

namespace IotHub.Core.Messages;

/// <summary>What one rule of a device's message filters allows: the broker decides by it, and the API explains by it.</summary>
public static class FilterRules
{
    /// <summary>A message on this topic.</summary>
    public static bool AllowsTopic(MessageFilterRule rule, string topic) =>
        rule.Topics.Any(listed => TopicFilter.Matches(listed, topic)) == (rule.Policy == MessageFilterPolicy.Accept);

    /// <summary>
    /// A subscription. Accept: its filter must be contained in a listed one. Reject: refused when it is contained in a listed one.
    /// </summary>
    public static bool AllowsSubscription(MessageFilterRule rule, string filter) => rule.AllowsEverything
        || rule.Topics.Any(listed => TopicFilter.Contains(listed, filter)) == (rule.Policy == MessageFilterPolicy.Accept);
}
