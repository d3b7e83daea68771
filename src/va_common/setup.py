# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from setuptools import find_packages, setup

package_name = 'va_common'
# colcon runs this from the package's folder; the files of config/ are at the repository's root.
config = Path('../../config')

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (f'share/{package_name}', ['package.xml']),
        (f'share/{package_name}/config', sorted(str(f) for f in config.iterdir() if f.is_file())),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=False,
    maintainer='Voice Assistant maintainers',
    maintainer_email='maintainers@voice-assistant.example',
    description='What two or more nodes of the voice assistant share',
    license='Apache-2.0',
)
