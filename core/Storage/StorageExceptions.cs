namespace IotHub.Core.Storage;

/// <summary>A write was based on a version that is no longer the stored one. Read again and decide again.</summary>
public sealed class StaleVersionException(string what) : Exception($"{what} was changed by someone else in the meantime");

/// <summary>Something unique is taken already.</summary>
/// <param name="resource">The API's name of the resource kind, for example <c>device</c>.</param>
/// <param name="resourceId">Id of the one that holds it.</param>
/// <param name="what">Which property is taken, for example <c>name</c>.</param>
public sealed class AlreadyExistsException(string resource, Guid resourceId, string what) : Exception($"{resource} with this {what} already exists")
{
    public string Resource { get; } = resource;
    public Guid ResourceId { get; } = resourceId;
    public string What { get; } = what;
}

/// <summary>What a write refers to is gone (for example the hub of a new device).</summary>
public sealed class MissingException(string resource, Guid resourceId) : Exception($"{resource} {resourceId} is not found")
{
    public string Resource { get; } = resource;
    public Guid ResourceId { get; } = resourceId;
}

/// <summary>The hub has as many devices as a hub may have.</summary>
public sealed class HubFullException(Guid hubId, long devices) : Exception($"hub {hubId} has {devices} devices and takes no more")
{
    public Guid HubId { get; } = hubId;
    public long Devices { get; } = devices;
}

/// <summary>Storage did not answer, or refused us. Nothing is known about the effect of a write.</summary>
public sealed class RegistryUnavailableException(string message, Exception inner) : Exception(message, inner);
