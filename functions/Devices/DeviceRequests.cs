using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>A device as the API shows it.</summary>
internal sealed record DeviceAnswer
{
    public required Guid Id { get; init; }
    public required string Name { get; init; }
    public required string Description { get; init; }
    public required DeviceStatus Status { get; init; }
    public required Guid HubId { get; init; }
    public required DateTimeOffset LastActivityAt { get; init; }
    public required bool IsConnected { get; init; }
    public required bool AllowInsecure { get; init; }
    public required bool AllowMultipleConnections { get; init; }

    /// <summary>Always with both rules: one client crashes otherwise.</summary>
    public required MessageFilters MessageFilters { get; init; }

    public required bool HasCustomCertificate { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }
    public required string Region { get; init; }

    /// <summary>Left out when there are none, so that a device looks as it always did.</summary>
    [Extension]
    public IReadOnlyList<string>? Tags { get; init; }
}

internal sealed record DeviceList(IReadOnlyList<DeviceAnswer> Devices, int TotalCount);

internal sealed record IssuedAnswer(string Crt, string Key);

internal sealed record DeviceWithKeyAnswer(DeviceAnswer Device, IssuedAnswer Certificate);

internal sealed record DeviceCertificateAnswer(string CertificatePem, DeviceAnswer Device);

internal record CreateDeviceRequest
{
    public string? Name { get; init; }
    public string? HubId { get; init; }
    public bool? AllowInsecure { get; init; }
    public bool? AllowMultipleConnections { get; init; }
    public FiltersRequest? MessageFilters { get; init; }
    public string? Description { get; init; }

    [Extension]
    public IReadOnlyList<string?>? Tags { get; init; }
}

internal sealed record UpdateDeviceRequest
{
    public string? Description { get; init; }
    public bool? AllowInsecure { get; init; }
    public bool? AllowMultipleConnections { get; init; }
    public FiltersRequest? MessageFilters { get; init; }
    public string? HubId { get; init; }

    [Extension]
    public IReadOnlyList<string?>? Tags { get; init; }
}

internal sealed record SetCertificateRequest
{
    public string? CertificatePem { get; init; }
}

internal sealed record FiltersRequest
{
    /// <summary>All topics of a device together: keeps its record below the limit of one row.</summary>
    private const int MaximumCharacters = 200_000;

    private const int MaximumTopics = 1_000;

    public RuleRequest? Publish { get; init; }
    public RuleRequest? Subscribe { get; init; }

    /// <summary>A rule that is not given stays as it was.</summary>
    public MessageFilters Over(MessageFilters before, Checks checks)
    {
        var filters = new MessageFilters(
            Rule("message_filters.publish", Publish, before.Publish, checks),
            Rule("message_filters.subscribe", Subscribe, before.Subscribe, checks));
        var topics = filters.Publish.Topics.Concat(filters.Subscribe.Topics).ToList();
        checks.Require(
            topics.Count <= MaximumTopics && topics.Sum(topic => (long)topic.Length) <= MaximumCharacters,
            "message_filters",
            $"must have at most {MaximumTopics} topics with {MaximumCharacters} characters together");
        return filters;
    }

    private static MessageFilterRule Rule(string argument, RuleRequest? given, MessageFilterRule before, Checks checks)
    {
        if (given is null)
        {
            return before;
        }
        IReadOnlyList<string?> topics = given.Topics ?? [];
        foreach (var topic in topics)
        {
            // {{ templates }} are filled in where the device connects; they contain nothing that a filter may not.
            if (topic is null || !TopicFilter.IsValidFilter(topic))
            {
                checks.TopicFilterText(argument + ".topics", topic ?? "");
                break;
            }
        }
        var policy = given.Policy is MessageFilterPolicy.Accept ? MessageFilterPolicy.Accept : MessageFilterPolicy.Reject;
        return new MessageFilterRule(policy, [.. topics.OfType<string>()]);
    }
}

internal sealed record RuleRequest
{
    public MessageFilterPolicy? Policy { get; init; }
    public IReadOnlyList<string?>? Topics { get; init; }
}
