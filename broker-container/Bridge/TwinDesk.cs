using System.Text.Json.Nodes;
using System.Threading.Channels;
using IotHub.Broker.Auth;
using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Storage;

namespace IotHub.Broker.Bridge;

/// <summary>
/// Carries out the requests of devices to their twins, in storage: a fixed number of workers, the device's id picks one, so that its
/// requests keep their order. Everything that waits is bounded; nothing here holds a lane.
/// </summary>
public sealed partial class TwinDesk : ITwinRequests
{
    private readonly TwinEditing _editing;
    private readonly HubDirectory _directory;
    private readonly BridgeLimits _limits;
    private readonly ILogger<TwinDesk> _logger;
    private readonly Channel<Work>[] _waiting;
    private readonly Dictionary<Guid, int> _held = [];
    private readonly Lock _lock = new();
    private long _bytes;
    private int _failing;

    public TwinDesk(TwinEditing editing, HubDirectory directory, BridgeLimits limits, ILogger<TwinDesk> logger)
    {
        _editing = editing;
        _directory = directory;
        _limits = limits;
        _logger = logger;
        _waiting = [.. Enumerable.Range(0, limits.TwinWorkers).Select(_ => Channel.CreateBounded<Work>(
            new BoundedChannelOptions(limits.WaitingTwinRequestsPerWorker) { SingleReader = true }))];
    }

    public int MaximumPayloadBytes => TwinWriteBody.MaximumBytes;

    public bool Offer(TwinRequest request, Action<TwinAnswer> answered)
    {
        lock (_lock)
        {
            var (ofDevice, ofHub) = (_held.GetValueOrDefault(request.DeviceId), _held.GetValueOrDefault(request.HubId));
            if (ofDevice >= _limits.WaitingTwinRequestsPerDevice || ofHub >= _limits.WaitingTwinRequestsPerHub
                || _bytes + request.Payload.Length > _limits.WaitingTwinBytes
                || !_waiting[(uint)request.DeviceId.GetHashCode() % (uint)_waiting.Length].Writer.TryWrite(new Work(request, answered)))
            {
                return false;
            }
            (_held[request.DeviceId], _held[request.HubId]) = (ofDevice + 1, ofHub + 1);
            _bytes += request.Payload.Length;
            return true;
        }
    }

    /// <summary>Works until asked to stop; what waits then is not carried out and not acknowledged.</summary>
    public Task Run(CancellationToken stop) => Task.WhenAll(_waiting.Select(waiting => WorkThrough(waiting.Reader, stop)));

    private async Task WorkThrough(ChannelReader<Work> waiting, CancellationToken stop)
    {
        try
        {
            await foreach (var work in waiting.ReadAllAsync(stop))
            {
                var answer = await Answer(work.Request, stop);
                lock (_lock)
                {
                    _bytes -= work.Request.Payload.Length;
                    LetGo(work.Request.DeviceId);
                    LetGo(work.Request.HubId);
                }
                work.Answered(answer);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Stopping.
        }
    }

    private void LetGo(Guid id)
    {
        if (--_held[id] == 0)
        {
            _held.Remove(id);
        }
    }

    private async Task<TwinAnswer> Answer(TwinRequest request, CancellationToken stop)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(stop);
        patience.CancelAfter(_limits.RegistryTimeout);
        try
        {
            var answer = request.Method == TwinMethod.Get ? await Get(request, patience.Token) : await Write(request, patience.Token);
            if (Interlocked.Exchange(ref _failing, 0) == 1)
            {
                Log.Works(_logger);
            }
            return answer;
        }
        catch (Exception e) when (!stop.IsCancellationRequested)
        {
            if (Interlocked.Exchange(ref _failing, 1) == 0)
            {
                Log.Fails(_logger, e.Message);
            }
            return TwinAnswer.Error("twins are not available: try again later");
        }
    }

    private async Task<TwinAnswer> Get(TwinRequest request, CancellationToken cancel) =>
        TwinRules.IsValidName(request.Document) && await _editing.Store.Get(request.DeviceId, request.Document, cancel) is { } found
            ? Success(found.Value)
            : TwinAnswer.Error("document not found");

    private async Task<TwinAnswer> Write(TwinRequest request, CancellationToken cancel)
    {
        if (!TwinWriteBody.Read(request.Payload).Get(out var body, out var problem))
        {
            var detail = ((Problem.InvalidArguments)problem).Details[0];
            return TwinAnswer.Error($"{detail.Name} {detail.Help}");
        }
        if (await _directory.Hub(request.HubId, cancel) is not { } hub)
        {
            return TwinAnswer.Error("hub not found");
        }
        var write = new TwinWrite(
            request.HubId, request.DeviceId, request.Document, request.Method == TwinMethod.Patch, body.Version, body.Data,
            hub.Hub.SealedTwinsGraphitePushUri is not null);
        return await _editing.Write(write, cancel) switch
        {
            TwinWritten.Stored stored => Success(stored.Document),
            TwinWritten.VersionMismatch mismatch => TwinAnswer.Error(new JsonObject
            {
                ["error"] = "document version mismatch",
                ["twin_id"] = request.DeviceId,
                ["document_name"] = request.Document,
                ["expected_version"] = mismatch.Expected,
                ["actual_version"] = mismatch.Actual,
            }),
            TwinWritten.Invalid invalid => TwinAnswer.Error($"{invalid.Argument} {invalid.Help}"),
            TwinWritten.TooManyDocuments => TwinAnswer.Error($"a twin has at most {TwinRules.MaximumDocuments} documents"),
            TwinWritten.Missing => TwinAnswer.Error("document not found"),
            _ => TwinAnswer.Error("device not found"),
        };
    }

    private static TwinAnswer Success(TwinDocument document) =>
        new(true, TwinRules.Write(new JsonObject { ["version"] = document.Version, ["data"] = document.Data.DeepClone() }));

    private sealed record Work(TwinRequest Request, Action<TwinAnswer> Answered);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "Twins cannot be read or written, requests get an error until it works: {Reason}")]
        public static partial void Fails(ILogger logger, string reason);

        [LoggerMessage(2, LogLevel.Information, "Twins can be read and written again")]
        public static partial void Works(ILogger logger);
    }
}
