using Azure.Core;
using Azure.Core.Pipeline;

namespace IotHub.Contract.Storage;

/// <summary>Counts what is sent to storage.</summary>
public sealed class CountingPipeline : HttpPipelinePolicy
{
    private int _count;

    /// <summary>Requests sent while the work ran.</summary>
    public async Task<int> Of(Func<Task> work)
    {
        var before = Volatile.Read(ref _count);
        await work();
        return Volatile.Read(ref _count) - before;
    }

    public override ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
    {
        Interlocked.Increment(ref _count);
        return ProcessNextAsync(message, pipeline);
    }

    public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline) => throw new NotSupportedException();
}
