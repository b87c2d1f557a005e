namespace IotHub.Core.Storage;

/// <summary>A creation that was begun under a key which its caller chose, so that a repeat of the call has no second effect.</summary>
/// <param name="Key">Stands for the caller and the key.</param>
/// <param name="Fingerprint">Of the request; a repeat has the same.</param>
/// <param name="Resource">What is created, as JSON.</param>
/// <param name="SealedSecret">What its caller is shown once, or again in a repeat.</param>
/// <param name="IsDone">It is known to be in the registry. Until then a repeat creates it, or finds it there.</param>
public sealed record Creation(
    string Key, string Fingerprint, string Resource, string SealedSecret, DateTimeOffset At, bool IsDone = false);

/// <summary>Creations that were begun under a key of their caller. Written before what they create.</summary>
/// <exception cref="RegistryUnavailableException">Storage did not answer; nothing is known about a write's effect.</exception>
public interface ICreations
{
    Task<Creation?> Find(string key, CancellationToken cancel = default);

    /// <summary>Stores a creation, or gives the one that is already there under its key.</summary>
    /// <param name="forgetBefore">One that is older is forgotten.</param>
    Task<Creation> Begin(Creation creation, DateTimeOffset forgetBefore, CancellationToken cancel = default);

    Task Finish(Creation creation, CancellationToken cancel = default);

    Task Trim(DateTimeOffset before, CancellationToken cancel = default);
}
