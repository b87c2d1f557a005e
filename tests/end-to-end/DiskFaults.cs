using IotHub.Harness;
using IotHub.Harness.Faults;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>The broker process when its disk takes nothing more: see <see cref="DiskFaultStory"/>.</summary>
public sealed class DiskFaults
{
    [Fact]
    public async Task New_work_is_refused_while_nothing_can_be_written_and_service_resumes_with_the_disk()
    {
        using var folder = new TempFolder("disk-faults");
        await using var disk = new FileSizeLimit(folder.Path);
        await new DiskFaultStory(disk).RefuseAndResume();
    }

    [Fact]
    public async Task A_crash_while_nothing_can_be_written_loses_nothing_that_was_acknowledged()
    {
        using var folder = new TempFolder("disk-faults");
        await using var disk = new FileSizeLimit(folder.Path);
        await new DiskFaultStory(disk).CrashWhileItLasts();
    }
}
