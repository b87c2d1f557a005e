using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Queues;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>
/// Makes devices of lines of text: an extension of the API. Reads, stores and reports at the same time, a batch in memory, so that an
/// import costs no more memory for being long.
/// </summary>
internal sealed partial class DeviceImport(
    ApiRegistry registry, DeviceIssuer issuer, BrokerClient broker, FunctionsSettings settings, ILogger<DeviceImport> logger)
{
    public static readonly string Description =
        "Makes a device of each line, and answers a line of JSON for each, in order, while the request is still being read: line (its number "
        + "in the text), name, status (created or refused), device_id, certificate (with certificates=true: crt and key), problem (what is wrong "
        + "with a refused line, as of any call). A line may have a certificate of its own (PEM), as PUT /devices/{device_id}/certificate takes it. "
        + "The last line of the answer has lines, created and refused. It has a problem too when the import ended before the text did, since "
        + "the status of the answer has long been sent by then: lines without a report were not looked at, and may be sent again, as may all "
        + "of them, since those that are there are refused by their names. An answer without such a last line was cut off. "
        + $"At most {Quotas.DevicesOfHub} lines of {ImportedText.MaximumLineBytes} bytes in a call; {FunctionsHost.MaximumRequestBytes >> 20} "
        + "MiB, or less if the host in front of the functions takes less.";

    /// <summary>Keeps what is written at once below the limit of the storage, which is 4 MiB.</summary>
    private const int MaximumCharactersAtOnce = 600_000;

    /// <summary>Creates a device for each line; a line that is refused does not stand in the way of the others.</summary>
    public async Task<Outcome<StreamedAnswer>> Run(ApiRequest request)
    {
        var isCsv = (request.Header("Content-Type") ?? "").StartsWith(DeviceBulk.Csv, StringComparison.OrdinalIgnoreCase);
        var format = request.Query.Choice<BulkFormat>("format") ?? (isCsv ? BulkFormat.Csv : BulkFormat.Jsonl);
        var issues = request.Query.Flag("certificates") ?? false;
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (!(await registry.HubToJoin(request, request.Id("hub_id"))).Get(out var hub, out var problem))
        {
            return problem;
        }
        var text = new ImportedText(request.BodyStream, format);
        if (await text.Begin(request.Cancel) is { } noHeading)
        {
            return noHeading;
        }
        if (await text.Next(request.Cancel) is not { } first)
        {
            return new Problem.InvalidArguments("body", "constraint", $"must have 1 to {Quotas.DevicesOfHub} devices");
        }
        return new StreamedAnswer(
            DeviceBulk.JsonLines, (output, cancel) => Report(new ImportRun(request, hub, issues, text), first, output, cancel));
    }

    private sealed record ImportRun(ApiRequest Request, Hub Hub, bool Issues, ImportedText Text);

    private async Task Report(ImportRun run, DeviceLine first, Stream output, CancellationToken cancel)
    {
        run.Request.AnswerWhileReading();
        var answer = new EarlyAnswer(output);
        var summary = new ImportSummary(0, 0, 0, null);
        try
        {
            for (DeviceLine? next = first; next is not null && summary.Problem is null;)
            {
                var (batch, more, ends) = await Read(run, next, summary.Lines, cancel);
                var failure = await Store(run, batch);
                batch.ForEach(import => answer.Write(import.Report()));
                var created = batch.Count(import => import.Problem is null);
                summary = new ImportSummary(
                    summary.Lines + batch.Count, summary.Created + created, summary.Refused + batch.Count - created, Shown(failure ?? ends));
                next = more;
                await answer.Send(cancel);
                await broker.Nudge(run.Hub.Id, ChangedKind.Hub, run.Hub.Id);
            }
            await run.Text.Drain(cancel);
        }
        catch (IOException e) when (!cancel.IsCancellationRequested)
        {
            summary = summary with { Problem = summary.Problem ?? Shown(Broken(e)) };
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            Log.Failed(logger, run.Hub.Id, summary.Lines, run.Request.RequestId, e);
            summary = summary with { Problem = ProblemAnswers.InternalError(run.Request.RequestId) };
        }
        answer.Write(summary);
        run.Request.AnswerSwiftly();
        await answer.Finish(cancel);
    }

    /// <summary>Reads as many lines as are stored at once, beginning with one that was read before.</summary>
    /// <returns>The lines; the one after them; why no more may be read.</returns>
    private async Task<(List<ImportedLine> Batch, DeviceLine? Next, Problem? Ends)> Read(
        ImportRun run, DeviceLine first, int linesBefore, CancellationToken cancel)
    {
        var batch = new List<ImportedLine>();
        var characters = 0;
        for (DeviceLine? line = first; line is not null;)
        {
            if (linesBefore + batch.Count == Quotas.DevicesOfHub)
            {
                return (batch, null, new Problem.InvalidArguments(
                    "body", "constraint", $"must have at most {Quotas.DevicesOfHub} devices: line {line.Number} and what follows was not looked at"));
            }
            if (batch.Count == IRegistry.DevicesAtOnce)
            {
                return (batch, line, null);
            }
            var import = Prepare(line, run);
            characters += import.Characters;
            if (characters > MaximumCharactersAtOnce && batch.Count > 0)
            {
                return (batch, line, null);
            }
            batch.Add(import);
            if (line.IsLost)
            {
                return (batch, null, line.Problem);
            }
            try
            {
                line = await run.Text.Next(cancel);
            }
            catch (IOException e) when (!cancel.IsCancellationRequested)
            {
                // What came before came whole.
                return (batch, null, Broken(e));
            }
        }
        return (batch, null, null);
    }

    private ImportedLine Prepare(DeviceLine line, ImportRun run)
    {
        if (line.Problem is not null || line.Device is not { } body)
        {
            return new ImportedLine(line.Number, line.Device?.Name, null, line.Problem);
        }
        var checks = new Checks(settings.Region);
        var device = DeviceFunctions.Of(body, run.Hub.Id, checks, registry.Now);
        var own = body.Certificate is null ? null : OwnCertificate.Of("certificate", body.Certificate, checks);
        if ((checks.Problem ?? DeviceFunctions.PlanProblem(device, run.Hub)) is { } refused)
        {
            return new ImportedLine(line.Number, body.Name, null, refused);
        }
        if (own is not null || !run.Issues)
        {
            return new ImportedLine(line.Number, body.Name, own?.On(device) ?? device, null);
        }
        var (certified, given) = issuer.Issue(device, run.Hub);
        return new ImportedLine(line.Number, body.Name, certified, null) { Certificate = given };
    }

    /// <summary>
    /// All at once where that is possible; else one by one, which shows what is in the way of which. A client that goes away does not cut it
    /// off in the middle.
    /// </summary>
    /// <returns>Why it is no use to go on.</returns>
    private async Task<Problem?> Store(ImportRun run, List<ImportedLine> batch)
    {
        foreach (var same in batch.Where(import => import.Device is not null).GroupBy(import => import.Device!.Name, StringComparer.Ordinal))
        {
            foreach (var again in same.Skip(1))
            {
                again.Problem = new Problem.AlreadyExists("device", "", "another line has this name");
            }
        }
        if (batch.TrueForAll(import => import.Problem is not null))
        {
            return null;
        }
        try
        {
            if (!(await registry.HubToJoin(run.Request, run.Hub.Id)).Get(out var hub, out var gone))
            {
                batch.ForEach(import => import.Problem ??= gone);
                return null;
            }
            var wanted = batch.Where(import => import.Problem is null).ToList();
            foreach (var beyond in wanted.Skip((int)Math.Max(0, Quotas.DevicesOfHub - hub.DeviceCount)))
            {
                beyond.Problem = ApiRegistry.Full(hub.DeviceCount);
            }
            wanted.RemoveAll(import => import.Problem is not null);
            if (wanted.Count == 0 || await AllAtOnce(hub.Id, wanted))
            {
                return null;
            }
            foreach (var import in wanted)
            {
                var outcome = await registry.Write(
                    run.Request,
                    () => registry.Store.CreateDevice(import.Device!, CancellationToken.None),
                    hub.Id,
                    ChangedKind.Device,
                    import.Device!.Id,
                    default(Nothing));
                import.Problem = outcome.Get(out _, out var problem) ? null : problem;
            }
            return null;
        }
        catch (Exception e) when (e is RegistryUnavailableException or StaleVersionException)
        {
            // Perhaps they were stored: the same lines sent again will tell.
            Log.Unavailable(logger, run.Hub.Id, e.Message);
            batch.ForEach(import => import.Problem ??= new Problem.Unavailable());
            return new Problem.Unavailable();
        }
    }

    private async Task<bool> AllAtOnce(Guid hubId, IReadOnlyList<ImportedLine> wanted)
    {
        try
        {
            return await registry.Store.CreateDevices(hubId, [.. wanted.Select(import => import.Device!)], CancellationToken.None);
        }
        catch (Exception e) when (e is HubFullException or MissingException)
        {
            // Since the hub was looked at: each will be told so.
            return false;
        }
    }

    private static Problem.InvalidArguments Broken(IOException e) =>
        new("body", "format", $"could not be read to its end: {e.Message}");

    private static System.Text.Json.Nodes.JsonObject? Shown(Problem? problem) => problem is null ? null : ProblemAnswers.Of(problem).Body;

    private sealed class ImportedLine(int line, string? name, Device? device, Problem? problem)
    {
        public Device? Device => device;
        public Problem? Problem { get; set; } = problem;
        public IssuedAnswer? Certificate { get; init; }

        public int Characters => device is null
            ? 0
            : device.Description.Length + device.CertificatePem.Length
                + device.Filters.Publish.Topics.Concat(device.Filters.Subscribe.Topics).Sum(topic => topic.Length);

        public ImportReport Report()
        {
            // What is no name is not said again: it may be as long as the line.
            var known = name?.Length <= ResourceName.MaximumLength ? name : null;
            return Problem is null
                ? new ImportReport(line, known, "created", device!.Id, Certificate, null)
                : new ImportReport(line, known, "refused", null, null, ProblemAnswers.Of(Problem).Body);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Error, "import into hub {HubId} failed behind {Lines} lines, request {RequestId}")]
        public static partial void Failed(ILogger logger, Guid hubId, int lines, string requestId, Exception exception);

        [LoggerMessage(2, LogLevel.Warning, "import into hub {HubId} ended early: {Reason}")]
        public static partial void Unavailable(ILogger logger, Guid hubId, string reason);
    }
}
