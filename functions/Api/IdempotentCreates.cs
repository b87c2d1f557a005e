using System.Security.Cryptography;
using IotHub.Core;
using IotHub.Core.Security;
using IotHub.Core.Storage;

namespace IotHub.Functions.Api;

/// <summary>A thing that is about to be created, and what its creator is shown once.</summary>
internal sealed record Draft<T>(T Resource, string Secret = "");

/// <summary>
/// Creates under an <c>Idempotency-Key</c>: an extension of the API. What will be created is written down first, with its id and sealed
/// secret; so a repeat, or a call at the same time, creates the very same thing or finds it there, and gives the same answer, whatever
/// became of the call before. Refusals are not remembered. Without a key it is a create like any other.
/// </summary>
internal sealed class IdempotentCreates(ICreations creations, Sealer sealer, TimeProvider time)
{
    public const string Header = "Idempotency-Key";

    /// <summary>How long a repeat is known as one.</summary>
    public static readonly TimeSpan Kept = TimeSpan.FromHours(24);

    private const int MaximumKeyLength = 255;

    /// <param name="prepare">Checks the request and makes what it asks for.</param>
    /// <param name="create">Stores it; no error when the very same is there.</param>
    public async Task<Outcome<TAnswer>> Create<T, TAnswer>(
        ApiRequest request, Func<Task<Outcome<Draft<T>>>> prepare, Func<T, Task<Outcome<Nothing>>> create, Func<Draft<T>, TAnswer> show)
    {
        if (request.Header(Header) is not { } given)
        {
            return (await prepare()).Get(out var draft, out var problem) && (await create(draft.Resource)).Get(out _, out problem)
                ? show(draft)
                : problem!;
        }
        if (given.Length is 0 or > MaximumKeyLength || given.Any(c => c is < ' ' or > '~'))
        {
            return new Problem.InvalidArguments(Header, "format", $"must have 1 to {MaximumKeyLength} printable ASCII characters");
        }
        var key = Secrets.Hash($"{request.Caller.AccessKey}\n{given}");
        if (!(await Begun(request, key, prepare)).Get(out var creation, out var refused))
        {
            return refused;
        }
        if (creation.Fingerprint != request.Fingerprint)
        {
            return new Problem.InvalidArguments(
                Header, "constraint", $"was used for another request within the last {Kept.TotalHours:0} hours: take a new key");
        }
        var begun = new Draft<T>(StoredJson.Read<T>(creation.Resource), sealer.Open(creation.SealedSecret, SealPurposes.Creation(key)));
        if (!creation.IsDone)
        {
            if (!(await create(begun.Resource)).Get(out _, out refused))
            {
                return refused;
            }
            await creations.Finish(creation, request.Cancel);
        }
        return show(begun);
    }

    private async Task<Outcome<Creation>> Begun<T>(ApiRequest request, string key, Func<Task<Outcome<Draft<T>>>> prepare)
    {
        if (await Find(request, key) is { } known)
        {
            return known;
        }
        if (!(await prepare()).Get(out var draft, out var problem))
        {
            // Perhaps what stands in its way is what a call at the same time has just created.
            return await Find(request, key) is { } meanwhile ? meanwhile : problem;
        }
        var now = time.GetUtcNow();
        return await creations.Begin(
            new Creation(
                key, request.Fingerprint, StoredJson.Write(draft.Resource), sealer.Seal(draft.Secret, SealPurposes.Creation(key)), now),
            now - Kept,
            request.Cancel);
    }

    private async Task<Creation?> Find(ApiRequest request, string key) =>
        await creations.Find(key, request.Cancel) is { } creation && creation.At >= time.GetUtcNow() - Kept ? creation : null;

    public static string FingerprintOf(string method, string path, ReadOnlySpan<byte> body)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(System.Text.Encoding.UTF8.GetBytes($"{method} {path}\n"));
        hash.AppendData(body);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
