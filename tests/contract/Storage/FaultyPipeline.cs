using Azure;
using Azure.Core;
using Azure.Core.Pipeline;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>Where a request to storage is lost.</summary>
public enum Loss { Request, Answer }

/// <summary>An operation that may be cut off, and what must hold afterwards.</summary>
public sealed record Attempt(Func<Task> Run, Func<Task> AssertRecovers);

/// <summary>Lets the n-th request fail, before it is sent or after it took effect; like a crash, nothing after it is sent either.</summary>
public sealed class FaultyPipeline : HttpPipelinePolicy
{
    private readonly Lock _lock = new();
    private int _left = int.MaxValue;
    private bool _once;
    private Loss _loss;

    /// <summary>Reads are not counted: a process that dies at a read leaves what it left at the write before.</summary>
    public bool CountsOnlyWrites { get; init; }

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

    /// <summary>
    /// Prepares, runs with the first request failing, and asserts that all can be put right; then the same with the second request, and so
    /// on, until the operation comes through.
    /// </summary>
    /// <param name="assertFailure">Holds for the exception of a run that was cut off, which may be none.</param>
    public async Task AtEveryRequest(Loss loss, Func<Task<Attempt>> prepare, Action<Exception?>? assertFailure = null)
    {
        for (var number = 1; ; number++)
        {
            var attempt = await prepare();
            FailRequest(number, loss);
            var failure = await Record.ExceptionAsync(attempt.Run);
            var hasFailed = HasFailed;
            Heal();
            await attempt.AssertRecovers();
            if (!hasFailed)
            {
                Assert.Null(failure);
                Assert.True(number > (CountsOnlyWrites ? 1 : 3), "the operation made fewer requests than it could be cut off at");
                return;
            }
            assertFailure?.Invoke(failure);
        }
    }

    public override async ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
    {
        bool fails, isFirst;
        lock (_lock)
        {
            isFirst = (!CountsOnlyWrites || _left <= 0 || message.Request.Method != RequestMethod.Get) && --_left == 0;
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
