using IotHub.Core.Domain;

namespace IotHub.Core.Storage;

/// <summary>The documents of devices' twins. A twin exists with its device; here are only its documents.</summary>
/// <exception cref="RegistryUnavailableException">Storage did not answer; nothing is known about a write's effect.</exception>
public interface ITwins
{
    /// <summary>Names of a twin's documents, in their order.</summary>
    Task<IReadOnlyList<string>> Names(Guid twinId, CancellationToken cancel = default);

    Task<Versioned<TwinDocument>?> Get(Guid twinId, string name, CancellationToken cancel = default);

    /// <param name="hubId">Remembered, so that what is left of a deleted hub can be found.</param>
    /// <exception cref="AlreadyExistsException">It is there.</exception>
    Task Create(Guid hubId, TwinDocument document, CancellationToken cancel = default);

    /// <exception cref="StaleVersionException">It was changed or deleted since it was read.</exception>
    Task Replace(Versioned<TwinDocument> document, CancellationToken cancel = default);

    /// <summary>True when it was there.</summary>
    Task<bool> Delete(Guid twinId, string name, CancellationToken cancel = default);

    Task DeleteAll(Guid twinId, CancellationToken cancel = default);

    /// <summary>Devices that ever had a document while they were on this hub, and may have some still.</summary>
    Task<IReadOnlyList<Guid>> OfHub(Guid hubId, CancellationToken cancel = default);

    /// <summary>The device left a hub for another one, or (null) for good: it is listed where it is now, if it was listed at all.</summary>
    Task Moved(Guid twinId, Guid from, Guid? to, CancellationToken cancel = default);
}
