using IotHub.Harness;
using IotHub.Harness.Faults;

namespace IotHub.Benchmarks.Durability;

/// <summary>The broker's store on a small file system of its own. Mounting needs root.</summary>
internal abstract class MountedDisk(string mountPoint) : DiskUnderBroker(Path.Combine(mountPoint, "store"))
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    protected string MountPoint => mountPoint;

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        Run("umount", mountPoint);
        GC.SuppressFinalize(this);
    }

    /// <exception cref="InvalidOperationException">It cannot be started, or says no.</exception>
    protected static void Run(string program, params string[] arguments)
    {
        var child = ChildProcess.Start(program, arguments);
        try
        {
            if (child.WaitForExit(Patience).GetAwaiter().GetResult() != 0)
            {
                throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: {child.Output.Trim()}");
            }
        }
        finally
        {
            child.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }
}

/// <summary>A tmpfs that somebody else fills to the last byte (ENOSPC).</summary>
internal sealed class FullDisk : MountedDisk
{
    private readonly string _filler;

    public FullDisk(string mountPoint)
        : base(mountPoint)
    {
        _filler = Path.Combine(mountPoint, "filler");
        Run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", mountPoint);
    }

    public override void Break()
    {
        using var filler = File.Create(_filler, bufferSize: 0);
        var page = new byte[4096];
        try
        {
            while (true)
            {
                filler.Write(page);
            }
        }
        catch (IOException)
        {
            // Full.
        }
    }

    public override void Mend() => File.Delete(_filler);

    public override void MendStopped() => Mend();

    public void MakeReadOnly() => Run("mount", "-o", "remount,ro", MountPoint);
}

/// <summary>An ext4 that the kernel stops writing to, as it does after an error of the device (EROFS): only a new mount mends it.</summary>
internal sealed class FailedDisk : MountedDisk
{
    private readonly string _image;

    public FailedDisk(string mountPoint, string image)
        : base(mountPoint)
    {
        _image = image;
        using (var file = File.Create(image))
        {
            file.SetLength(64 * 1024 * 1024);
        }
        Run("mkfs.ext4", "-q", image);
        Mount();
    }

    public override void Break() => Run("mount", "-o", "remount,abort", MountPoint);

    public override void Mend() => throw new InvalidOperationException("only without the broker");

    public override void MendStopped()
    {
        Run("umount", MountPoint);
        Mount();
    }

    private void Mount() => Run("mount", "-o", "loop,errors=remount-ro", _image, MountPoint);
}
