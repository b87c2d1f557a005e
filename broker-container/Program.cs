using System.Runtime.InteropServices;
using IotHub.Broker;
using Microsoft.Extensions.Logging.Console;

const int Failed = 1;

// SIGXFSZ on Linux and macOS.
const int FileSizeExceeded = 25;

// What follows a read runs on the thread that found the socket ready; a hop to the pool costs two context switches, half the price of a
// message at low rates. Nothing on these paths may block. The framework reads the variable once, before the first socket.
const string InlineCompletions = "DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS";
Environment.SetEnvironmentVariable(InlineCompletions, Environment.GetEnvironmentVariable(InlineCompletions) ?? "1");

if (args is [ScramCommand.Name, ..])
{
    return ScramCommand.Run(args[1..], Console.In, Console.Out, Console.Error);
}
if (args is [RepairCommand.Name, ..])
{
    return RepairCommand.Run(args[1..], Console.Out, Console.Error);
}
BrokerOptions options;
try
{
    options = BrokerOptions.Parse(args);
}
catch (StartException e)
{
    await Console.Error.WriteLineAsync($"IotHub.Broker: {e.Message}");
    return Failed;
}
if (options.Help)
{
    Console.WriteLine(BrokerOptions.Usage);
    return 0;
}

using var logging = LoggerFactory.Create(builder => builder
    .SetMinimumLevel(options.LogLevel)
    .AddFilter("Microsoft", options.LogLevel > LogLevel.Warning ? options.LogLevel : LogLevel.Warning)
    // What fails at start is said by us, in one sentence.
    .AddFilter("Microsoft.Extensions.Hosting", LogLevel.None)
    .AddSimpleConsole(console =>
    {
        console.SingleLine = true;
        console.UseUtcTimestamp = true;
        console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
        console.ColorBehavior = LoggerColorBehavior.Disabled;
    })
    .Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace));

using var stop = new CancellationTokenSource();
using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
// A file may not grow beyond a limit of the process (ulimit -f): a write that fails, as on a full disk, and no reason to die.
using var limited = OperatingSystem.IsWindows() ? null : PosixSignalRegistration.Create((PosixSignal)FileSizeExceeded, c => c.Cancel = true);
try
{
    await using var host = await BrokerHost.Start(options, BrokerSettings.FromEnvironment(), logging, TimeProvider.System, stop.Token);
    Console.WriteLine(host.ReadyLine);
    await Task.Delay(Timeout.InfiniteTimeSpan, stop.Token).ContinueWith(_ => { }, TaskScheduler.Default);
    await host.Stop();
    return 0;
}
catch (StartException e)
{
    await Console.Error.WriteLineAsync($"IotHub.Broker: {e.Message}");
    return Failed;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    return 0;
}

void Stop(PosixSignalContext signal)
{
    // We end ourselves, in order; a second signal finds it under way.
    signal.Cancel = true;
    stop.Cancel();
}
