using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Queues;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>Imports and exports the devices of a hub as text, one a line: an extension of the API.</summary>
internal sealed class DeviceBulk(
    ApiRegistry registry, DeviceAnswers answers, DeviceIssuer issuer, BrokerClient broker, FunctionsSettings settings)
{
    public const string JsonLines = "application/x-ndjson";
    public const string Csv = "text/csv";

    /// <summary>The largest hub, with filters and descriptions of ordinary length.</summary>
    private const int MaximumBytes = 16 * 1024 * 1024;

    /// <summary>Keeps what is written at once below the limit of the storage, which is 4 MiB.</summary>
    private const int MaximumCharactersAtOnce = 600_000;

    private const int LinesBetweenFlushes = 200;

    public async Task<Outcome<StreamedAnswer>> Export(ApiRequest request)
    {
        var format = request.Query.Choice<BulkFormat>("format") ?? BulkFormat.Jsonl;
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (!(await registry.Hub(request, request.Id("hub_id"))).Get(out var hub, out var problem))
        {
            return problem;
        }
        return new StreamedAnswer(format == BulkFormat.Csv ? Csv + "; charset=utf-8" : JsonLines, async (output, cancel) =>
        {
            var activities = new Dictionary<Guid, DeviceActivity>();
            await foreach (var activity in registry.Store.ActivityOfHub(hub.Value.Id, cancel))
            {
                activities[activity.DeviceId] = activity;
            }
            if (format == BulkFormat.Csv)
            {
                await output.WriteAsync(DeviceLines.Header(), cancel);
            }
            var lines = 0;
            await foreach (var device in registry.Store.DevicesOfHub(hub.Value.Id, cancel))
            {
                var shown = answers.Of(device, activities.GetValueOrDefault(device.Id) ?? DeviceActivity.Never(hub.Value.Id, device.Id));
                await output.WriteAsync(format == BulkFormat.Csv ? DeviceLines.Csv(shown) : Line(shown), cancel);
                if (++lines % LinesBetweenFlushes == 0)
                {
                    await output.FlushAsync(cancel);
                }
            }
        });
    }

    /// <summary>
    /// Creates a device for each line and reports on each, in order; a line that is refused does not stand in the way of the others. After
    /// an interruption the same lines may be sent again: those that are there already are refused by their names.
    /// </summary>
    public async Task<Outcome<StreamedAnswer>> Import(ApiRequest request)
    {
        var isCsv = (request.Header("Content-Type") ?? "").StartsWith(Csv, StringComparison.OrdinalIgnoreCase);
        var format = request.Query.Choice<BulkFormat>("format") ?? (isCsv ? BulkFormat.Csv : BulkFormat.Jsonl);
        var issues = request.Query.Flag("certificates") ?? false;
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (!(await request.Bytes(MaximumBytes)).Get(out var text, out var problem)
            || !(await registry.HubToJoin(request, request.Id("hub_id"))).Get(out var hub, out problem))
        {
            return problem;
        }
        IReadOnlyList<DeviceLine> lines;
        if (format == BulkFormat.Jsonl)
        {
            lines = [.. DeviceLines.OfJson(text).Take(Quotas.DevicesOfHub + 1)];
        }
        else if (!DeviceLines.OfCsv(text.Span).Get(out lines!, out problem))
        {
            return problem;
        }
        if (lines.Count is 0 or > Quotas.DevicesOfHub)
        {
            return new Problem.InvalidArguments("body", "constraint", $"must have 1 to {Quotas.DevicesOfHub} devices");
        }
        return new StreamedAnswer(JsonLines, (output, cancel) => Report(request, hub, lines, issues, output, cancel));
    }

    private async Task Report(
        ApiRequest request, Hub hub, IReadOnlyList<DeviceLine> lines, bool issues, Stream output, CancellationToken cancel)
    {
        var created = 0;
        var batch = new List<ImportedLine>();
        foreach (var line in lines)
        {
            batch.Add(Prepare(line, hub, issues));
            if (batch.Count == IRegistry.DevicesAtOnce || batch.Sum(import => import.Characters) > MaximumCharactersAtOnce
                || ReferenceEquals(line, lines[^1]))
            {
                await Store(request, hub.Id, batch);
                foreach (var import in batch)
                {
                    created += import.Problem is null ? 1 : 0;
                    await output.WriteAsync(Line(import.Report()), cancel);
                }
                await output.FlushAsync(cancel);
                await broker.Nudge(hub.Id, ChangedKind.Hub, hub.Id);
                batch.Clear();
            }
        }
        await output.WriteAsync(Line(new ImportSummary(lines.Count, created, lines.Count - created)), cancel);
    }

    private ImportedLine Prepare(DeviceLine line, Hub hub, bool issues)
    {
        if (line.Problem is not null || line.Device is not { } body)
        {
            return new ImportedLine(line.Number, line.Device?.Name, null, line.Problem);
        }
        var checks = new Checks(settings.Region);
        var device = DeviceFunctions.Of(body, hub.Id, checks, registry.Now);
        if ((checks.Problem ?? DeviceFunctions.PlanProblem(device, hub)) is { } refused)
        {
            return new ImportedLine(line.Number, body.Name, null, refused);
        }
        if (!issues)
        {
            return new ImportedLine(line.Number, body.Name, device, null);
        }
        var (certified, given) = issuer.Issue(device, hub);
        return new ImportedLine(line.Number, body.Name, certified, null) { Certificate = given };
    }

    /// <summary>All at once where that is possible; else one by one, which shows what is in the way of which.</summary>
    private async Task Store(ApiRequest request, Guid hubId, List<ImportedLine> batch)
    {
        foreach (var same in batch.Where(import => import.Device is not null).GroupBy(import => import.Name, StringComparer.Ordinal))
        {
            foreach (var again in same.Skip(1))
            {
                again.Problem = new Problem.AlreadyExists("device", "", "another line has this name");
            }
        }
        try
        {
            if (!(await registry.HubToJoin(request, hubId)).Get(out var hub, out var gone))
            {
                batch.ForEach(import => import.Problem ??= gone);
                return;
            }
            var wanted = batch.Where(import => import.Problem is null).ToList();
            foreach (var beyond in wanted.Skip((int)Math.Max(0, Quotas.DevicesOfHub - hub.DeviceCount)))
            {
                beyond.Problem = new Problem.QuotasExceeded("device", Quotas.DevicesOfHub, hub.DeviceCount, "hub");
            }
            wanted.RemoveAll(import => import.Problem is not null);
            if (wanted.Count == 0 || await registry.Store.CreateDevices(hubId, [.. wanted.Select(import => import.Device!)], request.Cancel))
            {
                return;
            }
            foreach (var import in wanted)
            {
                var outcome = await registry.Write(
                    request, () => registry.Store.CreateDevice(import.Device!, request.Cancel), hubId, ChangedKind.Device, import.Device!.Id,
                    default(Nothing));
                import.Problem = outcome.Get(out _, out var problem) ? null : problem;
            }
        }
        catch (MissingException e)
        {
            batch.ForEach(import => import.Problem ??= new Problem.NotFound(e.Resource, e.ResourceId));
        }
        catch (Exception e) when (e is RegistryUnavailableException or StaleVersionException)
        {
            // Perhaps they were stored: the same lines sent again will tell.
            batch.ForEach(import => import.Problem ??= new Problem.Unavailable());
        }
    }

    private static byte[] Line<T>(T value) => [.. ApiJson.Write(value), (byte)'\n'];

    private sealed class ImportedLine(int line, string? name, Device? device, Problem? problem)
    {
        public string? Name => name;
        public Device? Device => device;
        public Problem? Problem { get; set; } = problem;
        public IssuedAnswer? Certificate { get; init; }

        public int Characters => device is null
            ? 0
            : device.Description.Length + device.CertificatePem.Length
                + device.Filters.Publish.Topics.Concat(device.Filters.Subscribe.Topics).Sum(topic => topic.Length);

        public ImportReport Report() => Problem is null
            ? new ImportReport(line, name, "created", device!.Id, Certificate, null)
            : new ImportReport(line, name, "refused", null, null, ProblemAnswers.Of(Problem).Body);
    }
}
