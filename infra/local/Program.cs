using System.Diagnostics;
using System.Runtime.InteropServices;
using IotHub.Local.Demo;
using IotHub.Local.Launch;

const int Done = 0;
const int Failed = 1;

using var stop = new CancellationTokenSource();
using var interrupt = StopOn(PosixSignal.SIGINT);
using var terminate = StopOn(PosixSignal.SIGTERM);
using var hangUp = StopOn(PosixSignal.SIGHUP);
var since = Stopwatch.StartNew();
try
{
    var options = LocalOptions.Parse(args);
    switch (options.Command)
    {
        case LocalCommand.Help:
            Console.WriteLine(LocalOptions.Usage);
            return Done;
        case LocalCommand.Demo:
            return await DemoCommand.Run(options, TimeProvider.System, Progress, stop.Token) ? Done : Failed;
        default:
            return await Serve(options);
    }
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    return Done;
}
catch (LaunchException e)
{
    await Tell(e.Message, e.LogTail);
    return Failed;
}
catch (Exception e)
{
    // Nobody can do anything with a stack trace here; whoever wants it sets IOTHUB_LOCAL_TRACE.
    var trace = Environment.GetEnvironmentVariable("IOTHUB_LOCAL_TRACE") is null ? [] : e.ToString().Split('\n');
    await Tell($"The local hub failed ({e.GetType().Name}: {e.Message.ReplaceLineEndings(" ").TrimEnd('.')}): please report this.", trace);
    return Failed;
}

async Task<int> Serve(LocalOptions options)
{
    await using var hub = await LocalHub.Start(options, TimeProvider.System, Progress, stop.Token);
    Progress("ready");
    Console.WriteLine(Instructions.Text(hub.Endpoints, Path.GetDirectoryName(Path.GetDirectoryName(hub.Endpoints.ServerCa))!));
    await hub.Run(Console.Error.WriteLine, stop.Token);
    Progress("stopping");
    return Done;
}

void Progress(string text) => Console.WriteLine($"{since.Elapsed.TotalSeconds,6:0.0} s  {text}");

static async Task Tell(string sentence, IReadOnlyList<string> tail)
{
    await Console.Error.WriteLineAsync(sentence);
    foreach (var line in tail)
    {
        await Console.Error.WriteLineAsync($"  | {line}");
    }
}

PosixSignalRegistration StopOn(PosixSignal signal) => PosixSignalRegistration.Create(signal, context =>
{
    context.Cancel = true;
    stop.Cancel();
});
