using System.Text;
using IotHub.Core.Domain;

namespace IotHub.Core.Messages;

/// <summary>
/// Fills <c>{{ hub.name }}</c>, <c>{{ hub.id }}</c>, <c>{{ device.name }}</c> and <c>{{ device.id }}</c> into message filters. An entry
/// that cannot be read never widens what a device may do: it is left out of what is accepted, and where it was to be rejected nothing is
/// allowed.
/// </summary>
public static class FilterTemplates
{
    private static readonly MessageFilterRule AllowNothing = new(MessageFilterPolicy.Accept, []);

    public static MessageFilters Fill(MessageFilters filters, Hub hub, Device device) =>
        Uses(filters) ? new MessageFilters(Fill(filters.Publish, hub, device), Fill(filters.Subscribe, hub, device)) : filters;

    public static bool Uses(MessageFilters filters) => Uses(filters.Publish) || Uses(filters.Subscribe);

    /// <summary>Entries that cannot be read.</summary>
    public static IEnumerable<string> Unreadable(MessageFilters filters, Hub hub, Device device) =>
        filters.Publish.Topics.Concat(filters.Subscribe.Topics).Distinct(StringComparer.Ordinal)
            .Where(entry => entry.Contains("{{", StringComparison.Ordinal) && !TryFill(entry, hub, device, out _));

    private static bool Uses(MessageFilterRule rule) => rule.Topics.Any(topic => topic.Contains("{{", StringComparison.Ordinal));

    private static MessageFilterRule Fill(MessageFilterRule rule, Hub hub, Device device)
    {
        List<string> topics = new(rule.Topics.Count);
        foreach (var entry in rule.Topics)
        {
            if (!TryFill(entry, hub, device, out var topic))
            {
                if (rule.Policy == MessageFilterPolicy.Accept)
                {
                    continue;
                }
                return AllowNothing;
            }
            // A name with a wildcard in it stands for itself, and no topic can have it: there is nothing to accept or reject.
            if (topic is not null)
            {
                topics.Add(topic);
            }
        }
        return rule with { Topics = topics };
    }

    /// <returns>False when it cannot be read. <paramref name="topic"/> is null when no topic can match it.</returns>
    public static bool TryFill(string entry, Hub hub, Device device, out string? topic)
    {
        topic = null;
        StringBuilder filled = new();
        var rest = entry.AsSpan();
        var possible = true;
        for (var open = rest.IndexOf("{{"); open >= 0; open = rest.IndexOf("{{"))
        {
            filled.Append(rest[..open]);
            rest = rest[(open + 2)..];
            var close = rest.IndexOf("}}");
            if (close < 0 || ValueOf(rest[..close].Trim(), hub, device) is not { } value)
            {
                return false;
            }
            possible &= value.AsSpan().IndexOfAny('+', '#', '\0') < 0;
            filled.Append(value);
            rest = rest[(close + 2)..];
        }
        var whole = filled.Append(rest).ToString();
        if (!possible)
        {
            return true;
        }
        topic = whole;
        return TopicFilter.IsValidFilter(whole);
    }

    private static string? ValueOf(ReadOnlySpan<char> name, Hub hub, Device device) => name switch
    {
        "hub.name" => hub.Name,
        "hub.id" => hub.Id.ToString(),
        "device.name" => device.Name,
        "device.id" => device.Id.ToString(),
        _ => null,
    };
}
