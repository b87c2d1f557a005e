using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;

namespace IotHub.Core.Storage;

/// <summary>A write of a document as its author wants it.</summary>
/// <param name="HubId">The hub of the twin's device.</param>
/// <param name="IsPatch">Merge into the document, which must be there; else replace or create.</param>
/// <param name="ExpectedVersion">0 for any.</param>
/// <param name="IsPushed">The hub has a Graphite target.</param>
public sealed record TwinWrite(
    Guid HubId, Guid TwinId, string Name, bool IsPatch, uint ExpectedVersion, JsonObject Data, bool IsPushed);

/// <summary>What came of a <see cref="TwinWrite"/>.</summary>
public abstract record TwinWritten
{
    private TwinWritten()
    {
    }

    public sealed record Stored(TwinDocument Document) : TwinWritten;

    public sealed record VersionMismatch(uint Expected, uint Actual) : TwinWritten;

    /// <param name="Argument"><c>document_name</c> or <c>data</c>.</param>
    public sealed record Invalid(string Argument, string Help) : TwinWritten;

    public sealed record TooManyDocuments(int Current) : TwinWritten;

    /// <summary>A patch for a document that is not there.</summary>
    public sealed record Missing : TwinWritten;

    /// <summary>The device went away meanwhile; what was written is gone again.</summary>
    public sealed record TwinGone : TwinWritten;
}

/// <summary>
/// Reads, checks, merges and writes a document, again while others are faster. The one way to write, for REST and MQTT alike.
/// </summary>
/// <param name="pushes">Where values for Graphite go.</param>
public sealed class TwinEditing(ITwins twins, IRegistry registry, IMessageQueue pushes, TimeProvider clock)
{
    private const int MaximumAttempts = 20;

    public ITwins Store => twins;

    public async Task<TwinWritten> Write(TwinWrite write, CancellationToken cancel = default)
    {
        if (!TwinRules.IsValidName(write.Name))
        {
            return new TwinWritten.Invalid("document_name", TwinRules.NameHelp);
        }
        if (TwinRules.IsReservedName(write.Name))
        {
            return new TwinWritten.Invalid("document_name", "must not start with _: only _config does");
        }
        if (TwinRules.Problem(write.Name, write.Data) is { } problem)
        {
            return new TwinWritten.Invalid("data", problem);
        }
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await TryWrite(write, cancel);
            }
            catch (StaleVersionException) when (attempt < MaximumAttempts)
            {
                // Somebody was faster: look again. The pause keeps many writers of one document from meeting again and again.
                await Task.Delay(Random.Shared.Next(1, 5 << Math.Min(attempt, 5)), cancel);
            }
        }
    }

    private async Task<TwinWritten> TryWrite(TwinWrite write, CancellationToken cancel)
    {
        var stored = await twins.Get(write.TwinId, write.Name, cancel);
        if (write.ExpectedVersion != 0 && write.ExpectedVersion != (stored?.Value.Version ?? 0))
        {
            return new TwinWritten.VersionMismatch(write.ExpectedVersion, stored?.Value.Version ?? 0);
        }
        if (stored is null && write.IsPatch)
        {
            return new TwinWritten.Missing();
        }
        // In the configuration null says something: it ends what a level above has set.
        var data = write.IsPatch ? TwinRules.Merge(stored!.Value.Data, write.Data)
            : write.Name == TwinRules.ConfigName ? write.Data : TwinRules.Merge([], write.Data);
        var next = new TwinDocument(write.TwinId, write.Name, checked((stored?.Value.Version ?? 0) + 1), data);
        if (TwinRules.Write(next.Data).Length > TwinRules.MaximumBytes)
        {
            return new TwinWritten.Invalid("data", $"must not make the document larger than {TwinRules.MaximumBytes} bytes");
        }
        if (TwinRules.Problem(write.Name, next.Data) is { } problem)
        {
            return new TwinWritten.Invalid("data", problem);
        }
        if (stored is not null)
        {
            await twins.Replace(stored with { Value = next }, cancel);
        }
        else
        {
            var names = await twins.Names(write.TwinId, cancel);
            if (names.Count >= TwinRules.MaximumDocuments)
            {
                return new TwinWritten.TooManyDocuments(names.Count);
            }
            try
            {
                await twins.Create(write.HubId, next, cancel);
            }
            catch (AlreadyExistsException)
            {
                throw new StaleVersionException($"document {write.Name} of twin {write.TwinId}");
            }
            // Deletions look for documents once: one that is new must look for its device afterwards.
            if ((await registry.GetDevice(write.TwinId, cancel))?.Value.HubId != write.HubId
                || await registry.GetHub(write.HubId, cancel) is not { Value.Deleting: false })
            {
                await twins.Delete(write.TwinId, write.Name, cancel);
                return new TwinWritten.TwinGone();
            }
        }
        if (write.IsPushed && write.Name != TwinRules.ConfigName)
        {
            await Push(write, stored?.Value.Data, next, cancel);
        }
        return new TwinWritten.Stored(next);
    }

    private async Task Push(TwinWrite write, JsonObject? before, TwinDocument next, CancellationToken cancel)
    {
        if (await twins.Get(write.TwinId, TwinRules.ConfigName, cancel) is not { } config)
        {
            return;
        }
        var updated = write.IsPatch ? write.Data : next.Data;
        var values = TwinSeries.Of(config.Value.Data, next, before ?? [], updated);
        foreach (var envelope in TwinSeries.Envelopes(write.HubId, next, values, clock.GetUtcNow(), IMessageQueue.MaximumBodyBytes))
        {
            await pushes.Send(EnvelopeJson.Write(envelope), default, cancel);
        }
    }
}
