using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace IotHub.Benchmarks;

/// <summary>Runs the BenchmarkDotNet classes in this process with short jobs: minutes, not an hour.</summary>
internal static class Micro
{
    public static int Run(string[] args)
    {
        var config = ManualConfig.Create(DefaultConfig.Instance)
            .AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance))
            .WithArtifactsPath(Path.Combine(Harness.RepositoryRoot.Path, "artifacts", "benchmarks"));
        BenchmarkSwitcher.FromTypes([typeof(CodecBenchmarks), typeof(TopicBenchmarks), typeof(PublishBenchmarks)])
            .Run(args.Length == 0 ? ["--filter", "*"] : args, config);
        return 0;
    }
}
