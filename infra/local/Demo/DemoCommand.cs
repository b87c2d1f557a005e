using System.Diagnostics;
using IotHub.Local.Launch;

namespace IotHub.Local.Demo;

/// <summary>The whole walk of one message, shown step by step, on a running hub or on one of its own.</summary>
public static class DemoCommand
{
    private static readonly TimeSpan WalkPatience = TimeSpan.FromSeconds(60);

    /// <returns>True when the message arrived everywhere.</returns>
    public static async Task<bool> Run(LocalOptions options, TimeProvider time, Action<string> progress, CancellationToken stop)
    {
        if (options.DataFolder is not null && DataFolder.Running(options.DataFolder) is { } running)
        {
            progress($"using the hub that runs on {options.DataFolder}");
            return await Walk(running, progress, stop);
        }
        var temporary = options.DataFolder is null ? Directory.CreateTempSubdirectory("iot-hub-demo-").FullName : null;
        try
        {
            var own = options with { DataFolder = options.DataFolder ?? temporary, BasePort = options.BasePort ?? 0 };
            await using var hub = await LocalHub.Start(own, time, progress, stop);
            progress("the hub is ready");
            return await Walk(hub.Endpoints, progress, stop);
        }
        finally
        {
            if (temporary is not null)
            {
                Directory.Delete(temporary, recursive: true);
            }
        }
    }

    private static async Task<bool> Walk(Endpoints at, Action<string> progress, CancellationToken stop)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(stop);
        patience.CancelAfter(WalkPatience);
        await using var walk = await MessageWalk.Prepare(at, progress);
        var since = Stopwatch.StartNew();
        try
        {
            await walk.CreateHub(patience.Token);
            await walk.CreateDevice(patience.Token);
            await walk.CreateNetwork(patience.Token);
            await walk.CreateStorageRoute(patience.Token);
            await walk.CreateRestRoute(patience.Token);
            await walk.Listen(patience.Token);
            await walk.PostAsSigfox(patience.Token);
            await walk.AwaitMqtt(patience.Token);
            await walk.AwaitRestCall(patience.Token);
            await walk.AwaitObject(patience.Token);
            progress($"the whole walk took {since.Elapsed.TotalSeconds:0.00} s");
            return true;
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            throw new LaunchException($"The demo failed: {walk.Step} did not happen within {WalkPatience.TotalSeconds:0} s.");
        }
    }
}
