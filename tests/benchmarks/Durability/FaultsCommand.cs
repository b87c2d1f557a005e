using IotHub.Harness;
using IotHub.Harness.Faults;
using Xunit.Sdk;

namespace IotHub.Benchmarks.Durability;

/// <summary>
/// <c>faults</c>: the stories that <c>dotnet test</c> tells with a limit on file sizes, on file systems that really fail. Apart, because
/// mounting needs root.
/// </summary>
internal static class FaultsCommand
{
    public const string Usage =
        """
        faults
          the broker on a full tmpfs, on an ext4 that the kernel has stopped writing to, on a read-only one, and on a disk whose writes, flushes or
          reads fail for a while under it; needs root, for mount, and strace
        """;

    public static async Task<int> Run()
    {
        using var files = new TempFolder("faults");
        var isGood = await Tell("full disk: refuse, resume when there is room, keep what was acknowledged", async () =>
        {
            await using var disk = new FullDisk(MountPoint(files));
            await new DiskFaultStory(disk).RefuseAndResume();
        });
        isGood &= await Tell("full disk: a crash while it lasts", async () =>
        {
            await using var disk = new FullDisk(MountPoint(files));
            await new DiskFaultStory(disk).CrashWhileItLasts();
        });
        isGood &= await Tell("failed file system: refuse, and a crash while it lasts", async () =>
        {
            await using var disk = new FailedDisk(MountPoint(files), files.Combine("image"));
            await new DiskFaultStory(disk).CrashWhileItLasts();
        });
        isGood &= await Tell("read-only at the start: one sentence, exit code 1", () => StartReadOnly(files));
        foreach (var calls in new[] { "pwrite64", "fdatasync", "pwrite64,fdatasync" })
        {
            isGood &= await Tell($"{calls} fail under a live broker, and work again: refuse, resume, keep what was acknowledged", async () =>
            {
                await using var disk = new FailingCalls(files.Combine($"store-{calls}"), calls);
                await new DiskFaultStory(disk).RefuseAndResume();
            });
        }
        isGood &= await Tell("reads fail under a live broker, and work again: nothing that waits is lost", async () =>
        {
            await using var disk = new FailingCalls(files.Combine("store-reads"), "pread64");
            await new DiskFaultStory(disk).NothingIsLostWhileReadsFail();
        });
        return isGood ? 0 : 1;
    }

    private static async Task StartReadOnly(TempFolder files)
    {
        await using var disk = new FullDisk(MountPoint(files));
        await disk.Start();
        await disk.Kill();
        disk.MakeReadOnly();
        await using var broker = ChildProcess.Start(BrokerProgram.Path, ["--standalone", "--port", "0", "--data", disk.Folder]);
        var code = await broker.WaitForExit(TimeSpan.FromSeconds(30));
        var said = broker.StandardError.Trim();
        if (code != 1 || said.Contains('\n', StringComparison.Ordinal) || !said.Contains("cannot be used", StringComparison.Ordinal))
        {
            throw new InvalidOperationException($"exit code {code}: {said}");
        }
        Console.WriteLine($"  {said}");
    }

    private static async Task<bool> Tell(string story, Func<Task> run)
    {
        try
        {
            await run();
            Console.WriteLine($"good: {story}");
            return true;
        }
        catch (Exception e) when (e is XunitException or InvalidOperationException or TimeoutException)
        {
            Console.WriteLine($"BAD: {story}\n{e}");
            return false;
        }
    }

    private static string MountPoint(TempFolder files) => Directory.CreateDirectory(files.Combine("mount")).FullName;
}
