using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Twins;

/// <summary>Read, put, patch and delete the documents of a device's twin, whose id is the device's.</summary>
internal sealed class TwinFunctions(ApiRegistry registry, TwinEditing editing)
{
    private const string Document = "twin_document";

    public async Task<Outcome<TwinDocumentList>> List(ApiRequest request) =>
        (await registry.Device(request, request.Id("twin_id"))).Get(out var found, out var problem)
            ? new TwinDocumentList(
                [.. (await editing.Store.Names(found.Device.Value.Id, request.Cancel)).Select(name => new TwinDocumentName(name))])
            : problem;

    public async Task<Outcome<TwinDocumentAnswer>> Get(ApiRequest request)
    {
        if (!(await Named(request)).Get(out var wanted, out var problem))
        {
            return problem;
        }
        return await editing.Store.Get(wanted.TwinId, wanted.Name, request.Cancel) is { } document
            ? Show(document.Value)
            : new Problem.NotFound(Document, wanted.Name);
    }

    public Task<Outcome<TwinDocumentAnswer>> Put(ApiRequest request) => Write(request, isPatch: false);

    public Task<Outcome<TwinDocumentAnswer>> Patch(ApiRequest request) => Write(request, isPatch: true);

    public async Task<Outcome<Nothing>> Delete(ApiRequest request)
    {
        if (!(await Named(request)).Get(out var wanted, out var problem))
        {
            return problem;
        }
        return await editing.Store.Delete(wanted.TwinId, wanted.Name, request.Cancel)
            ? default(Nothing)
            : new Problem.NotFound(Document, wanted.Name);
    }

    public async Task<Outcome<Nothing>> DeleteAll(ApiRequest request)
    {
        if (!(await registry.Device(request, request.Id("twin_id"))).Get(out var found, out var problem))
        {
            return problem;
        }
        await editing.Store.DeleteAll(found.Device.Value.Id, request.Cancel);
        return default(Nothing);
    }

    private async Task<Outcome<TwinDocumentAnswer>> Write(ApiRequest request, bool isPatch)
    {
        if (!(await request.Bytes(TwinWriteBody.MaximumBytes)).Get(out var bytes, out var problem)
            || !TwinWriteBody.Read(bytes.Span).Get(out var body, out problem)
            || !(await registry.Device(request, request.Id("twin_id"))).Get(out var found, out problem))
        {
            return problem;
        }
        var name = request.Text("document_name");
        var write = new TwinWrite(
            found.Hub.Id, found.Device.Value.Id, name, isPatch, body.Version, body.Data, found.Hub.SealedTwinsGraphitePushUri is not null);
        return await editing.Write(write, request.Cancel) switch
        {
            TwinWritten.Stored stored => Show(stored.Document),
            TwinWritten.VersionMismatch mismatch => new Problem.InvalidArguments(
                "version", "constraint", $"document version mismatch: expected {mismatch.Expected}, actual {mismatch.Actual}"),
            TwinWritten.Invalid invalid => new Problem.InvalidArguments(invalid.Argument, "constraint", invalid.Help),
            TwinWritten.TooManyDocuments many => new Problem.QuotasExceeded(Document, TwinRules.MaximumDocuments, many.Current, "twin"),
            TwinWritten.Missing => new Problem.NotFound(Document, name),
            TwinWritten.TwinGone => new Problem.NotFound("device", write.TwinId),
            var other => throw new InvalidOperationException($"no answer is known for {other.GetType().Name}"),
        };
    }

    /// <summary>The document that the path names, of a twin that the caller may see.</summary>
    private async Task<Outcome<(Guid TwinId, string Name)>> Named(ApiRequest request)
    {
        var name = request.Text("document_name");
        if (!TwinRules.IsValidName(name))
        {
            return new Problem.InvalidArguments("document_name", "constraint", TwinRules.NameHelp);
        }
        return (await registry.Device(request, request.Id("twin_id"))).Get(out var found, out var problem)
            ? (found.Device.Value.Id, name)
            : problem;
    }

    private static TwinDocumentAnswer Show(TwinDocument document) =>
        new(document.TwinId, document.Name, document.Version, document.Data);
}
