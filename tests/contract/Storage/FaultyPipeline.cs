using Azure;
using Azure.Core;
using Azure.Core.Pipeline;

namespace IotHub.Contract.Storage;

/// <summary>Where a request to storage is lost.</summary>
public enum Loss { Request, Answer }

/// <summary>Lets the n-th request fail, before it is sent or after it took effect; like a crash, nothing after it is sent either.</summary>
public sealed class FaultyPipeline : HttpPipelinePolicy
{
    private readonly Lock _lock = new();
    private int _left = int.MaxValue;
    private bool _once;
    private Loss _loss;

    /// <summary>True when the failure has happened.</summary>
    public bool HasFailed { get; private set; }

    /// <param name="once">Only this request fails, the next ones go through.</param>
    public void FailRequest(int number, Loss loss, bool once = false)
    {
        lock (_lock)
        {
            (_left, _loss, _once, HasFailed) = (number, loss, once, false);
        }
    }

    public void Heal() => FailRequest(int.MaxValue, Loss.Request);

    public override async ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
    {
        bool fails, isFirst;
        lock (_lock)
        {
            isFirst = --_left == 0;
            fails = isFirst || (_left < 0 && !_once);
            HasFailed |= fails;
        }
        if (fails && (_loss == Loss.Request || !isFirst))
        {
            throw new RequestFailedException("the request was lost");
        }
        await ProcessNextAsync(message, pipeline);
        if (fails)
        {
            throw new RequestFailedException("the answer was lost");
        }
    }

    public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline) => throw new NotSupportedException();
}
